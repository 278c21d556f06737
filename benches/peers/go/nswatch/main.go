// Watches by the Go binding; as watch_nswatch.c: names | drain.
package main

import (
	"context"
	"fmt"
	"os"

	nswatch "github.com/nswatch/nswatch/bindings/go"
	"golang.org/x/sys/unix"
)

// cpu returns the processor time of the process.
func cpu() int64 {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &now)
	return now.Nano()
}

func watch() error {
	ctx := context.Background()
	watcher, err := nswatch.Open()
	if err != nil {
		return err
	}
	defer watcher.Close()
	if len(os.Args) > 1 && os.Args[1] == "drain" {
		began, events := cpu(), 0
		for {
			event, err := watcher.Next(ctx)
			if err != nil {
				return err
			}
			events++
			if event.Type == nswatch.Synced {
				fmt.Printf("%.1f\n", float64(cpu()-began)/float64(events))
				return nil
			}
		}
	}
	for {
		event, err := watcher.Next(ctx)
		if err != nil {
			return err
		}
		var now unix.Timespec
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
		fmt.Println(now.Nano(), event.Type, event.Name)
	}
}

func main() {
	if err := watch(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
