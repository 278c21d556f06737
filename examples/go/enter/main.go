// Enter runs a command inside each network namespace that has a name, and in each new one: enter COMMAND [ARGUMENT…]
//
// Try `enter ip -brief link`; it requires CAP_SYS_ADMIN.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: enter COMMAND [ARGUMENT…]")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := enter(ctx, os.Args[1:]); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "enter:", err)
		os.Exit(1)
	}
}

func enter(ctx context.Context, command []string) error {
	watcher, err := nswatch.Open()
	if err != nil {
		return err
	}
	defer watcher.Close()
	for {
		event, err := watcher.Next(ctx)
		if err != nil {
			return err
		}
		if event.Type != nswatch.Ready {
			continue
		}
		name := nswatch.Printable(event.Name)
		fmt.Printf("in %s:\n", name)
		err = event.Enter(func() error {
			child := exec.CommandContext(ctx, command[0], command[1:]...)
			child.Stdout, child.Stderr = os.Stdout, os.Stderr
			return child.Run()
		})
		if ctx.Err() != nil {
			return ctx.Err() // the end of this program ended the command
		}
		// if one namespace is gone or one command fails, continue with the others
		if err != nil {
			fmt.Fprintf(os.Stderr, "enter: %s: %v\n", name, err)
		}
	}
}
