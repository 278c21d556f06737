// Async selects from the watcher and standard input: async [DIR]
//
// The line "resync" makes the watcher compare its state with the kernel's. The end of the input, or a signal, ends the
// program.
package main

import (
	"bufio"
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
	if err := serve(ctx, os.Args[1:]); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "async:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, arguments []string) error {
	var options []nswatch.Option
	if len(arguments) > 0 {
		options = append(options, nswatch.Dir(arguments[0]))
	}
	watcher, err := nswatch.Open(options...)
	if err != nil {
		return err
	}
	defer watcher.Close()

	events, reason := watcher.Events(ctx)
	input := lines()
	for {
		select {
		case event, ok := <-events:
			if !ok {
				return reason()
			}
			report(event)
		case line, ok := <-input:
			if !ok {
				return nil
			}
			if line == "resync" {
				if err := watcher.Resync(); err != nil {
					return err
				}
			}
		}
	}
}

func report(event nswatch.Event) {
	name := nswatch.Printable(event.Name)
	if name == "" {
		name = "-"
	}
	fmt.Println(event.Type, name)
	if event.Type == nswatch.Ready {
		// ENOENT or ESTALE: gone or replaced already; an event for that follows
		if file, err := event.OpenNetns(); err == nil {
			fmt.Println("opened", name)
			file.Close()
		}
	}
}

func lines() <-chan string {
	input := make(chan string)
	go func() {
		defer close(input)
		for scanner := bufio.NewScanner(os.Stdin); scanner.Scan(); {
			input <- scanner.Text()
		}
	}()
	return input
}
