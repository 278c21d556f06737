// Async has the watcher as one of several things that a goroutine selects from: async [DIR]
//
// Another one is standard input, where "resync" makes the watcher compare what it told with what the kernel has; the end
// of the input, or a signal, ends the program.
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
			tell(event)
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

func tell(event nswatch.Event) {
	name := nswatch.Printable(event.Name)
	if name == "" {
		name = "-"
	}
	fmt.Println(event.Type, name)
	if event.Type == nswatch.Ready {
		// ENOENT or ESTALE: it is gone or replaced already, and the next event says so
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
