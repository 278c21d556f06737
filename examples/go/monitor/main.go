// Monitor prints the events of the names in a directory: monitor [DIR]
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := monitor(ctx, os.Args[1:]); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "monitor:", err)
		os.Exit(1)
	}
}

func monitor(ctx context.Context, arguments []string) error {
	var options []nswatch.Option
	if len(arguments) > 0 {
		options = append(options, nswatch.Dir(arguments[0]))
	}
	watcher, err := nswatch.Open(options...)
	if err != nil {
		return err
	}
	defer watcher.Close()
	for {
		event, err := watcher.Next(ctx)
		if err != nil {
			return err
		}
		fmt.Println(event)
	}
}
