// All prints the births and deaths of all network namespaces, with or without a name, and a process in each: all
//
// Try it on `unshare --net sleep 10`. Without root it misses namespaces of other users' processes, and
// reports new ones later.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := all(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "all:", err)
		os.Exit(1)
	}
}

func all(ctx context.Context) error {
	watcher, err := nswatch.Open(nswatch.All())
	if err != nil {
		return err
	}
	defer watcher.Close()
	// the identity is the key: names and pids may pass to others
	who := map[nswatch.Netns]string{}
	for {
		event, err := watcher.Next(ctx)
		if err != nil {
			return err
		}
		line := event.Type.String()
		switch event.Type {
		case nswatch.NetnsNew:
			who[event.Netns] = knownBy(event)
			line += " " + event.Netns.String() + who[event.Netns]
		case nswatch.NetnsDel:
			line += " " + event.Netns.String() + who[event.Netns]
			delete(who, event.Netns)
		}
		if event.Replayed {
			line += " (replayed)"
		}
		fmt.Println(line)
	}
}

// knownBy describes a new namespace: a process in it, or a path to it.
func knownBy(event nswatch.Event) string {
	if event.PID == 0 {
		return strings.TrimRight(" "+nswatch.Printable(event.Path), " ")
	}
	command := "?" // the process has ended
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", event.PID)); err == nil {
		// the process chooses its command
		command = nswatch.Printable(strings.TrimSuffix(string(text), "\n"))
	}
	return fmt.Sprintf(" %d %s", event.PID, command)
}
