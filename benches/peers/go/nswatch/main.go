// Watches by the Go binding, as watch_nswatch.c: names | ids | drain | list.
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

func drain(ctx context.Context) error {
	watcher, err := nswatch.Open()
	if err != nil {
		return err
	}
	defer watcher.Close()
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

func watch() error {
	ctx, what, options := context.Background(), "names", []nswatch.Option{}
	if len(os.Args) > 1 {
		what = os.Args[1]
	}
	switch what {
	case "list":
		events, err := nswatch.ListAll()
		for _, event := range events {
			fmt.Println(event.Netns.Ino)
		}
		return err
	case "drain":
		for range 9 {
			if err := drain(ctx); err != nil {
				return err
			}
		}
		return nil
	case "ids":
		options = append(options, nswatch.NSID())
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
		var now unix.Timespec
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
		if what == "ids" {
			fmt.Println(now.Nano(), event.Type, event.NSID)
		} else {
			fmt.Println(now.Nano(), event.Type, event.Name)
		}
	}
}

func main() {
	if err := watch(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
