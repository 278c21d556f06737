//go:build linux

package nswatch_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"syscall"
	"time"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

// Stands for the programs that make namespaces on this machine.
func ip(arguments ...string) {
	if out, err := exec.Command("ip", arguments...).CombinedOutput(); err != nil {
		log.Fatalf("ip %q: %v: %s", arguments, err, out)
	}
}

// All events, one after the other.
func Example() {
	watcher, err := nswatch.Open(nswatch.NoReplay())
	if err != nil {
		log.Fatal(err)
	}
	defer watcher.Close()

	ip("netns", "add", "blue")
	for {
		event, err := watcher.Next(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Type, event.Name)
		switch event.Type {
		case nswatch.Ready:
			ip("netns", "del", "blue")
		case nswatch.Deleted:
			return
		}
	}
	// Output:
	// created blue
	// ready blue
	// deleted blue
}

// A wait with a timeout.
func ExampleWatcher_Next() {
	watcher, err := nswatch.Open(nswatch.NoReplay())
	if err != nil {
		log.Fatal(err)
	}
	defer watcher.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err = watcher.Next(ctx)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}

// A channel for select or range.
func ExampleWatcher_Events() {
	watcher, err := nswatch.Open()
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	events, reason := watcher.Events(ctx)
	for event := range events {
		fmt.Println(event)
		if event.Type == nswatch.Synced {
			watcher.Close() // or cancel()
		}
	}
	fmt.Println(reason())
	// Output:
	// synced
	// nswatch: the watcher is closed
}

// Runs a function inside each namespace.
func ExampleEvent_Enter() {
	ip("netns", "add", "green")
	defer ip("netns", "del", "green")
	watcher, err := nswatch.Open()
	if err != nil {
		log.Fatal(err)
	}
	defer watcher.Close()
	for {
		event, err := watcher.Next(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		switch event.Type {
		case nswatch.Ready:
			err := event.Enter(func() error {
				out, err := exec.Command("ip", "-oneline", "link").Output()
				fmt.Printf("%s: %.5s\n", nswatch.Printable(event.Name), out)
				return err
			})
			if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ESTALE) {
				continue // gone or replaced already: an event for that follows
			}
			if err != nil {
				log.Fatal(err)
			}
		case nswatch.Synced:
			return
		}
	}
	// Output: green: 1: lo
}

// Stands for `ip netns del` and `ip netns add`.
func recreate(name string) {
	ip("netns", "del", name)
	ip("netns", "add", name)
}

// A namespace as the key of a map: a successor with the same name is another key. The README shows the middle part.
func ExampleNetns() {
	ip("netns", "add", "blue")
	defer ip("netns", "del", "blue")

	blue, err := nswatch.NetnsForName("blue") // or NetnsForPID and so on; or the Netns of an event
	if err != nil {
		log.Fatal(err)
	}
	tenants := map[nswatch.Netns]string{blue: "tenant 7"}

	recreate("blue") // the same name, another namespace, perhaps with the same inode number
	now, err := nswatch.NetnsForName("blue")
	if err != nil {
		log.Fatal(err)
	}
	_, known := tenants[now]
	_, err = blue.Open("/run/netns/blue")
	fmt.Println(known, errors.Is(err, syscall.ESTALE)) // false true
	// Output: false true
}

func ExampleNSIDForPID() {
	nsid, err := nswatch.NSIDForPID(os.Getpid())
	switch {
	case errors.Is(err, syscall.ESRCH):
		fmt.Println("no such process")
	case err != nil:
		log.Fatal(err)
	case nsid == nswatch.NotAssigned:
		fmt.Println("its network namespace has no nsid here")
	default:
		fmt.Println("its network namespace has the nsid", nsid)
	}
	// Output: its network namespace has no nsid here
}
