// Netlink keeps a handle of vishvananda/netlink in each named network namespace and prints the links there: netlink
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	nswatch "github.com/nswatch/nswatch/bindings/go"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "netlink:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) error {
	watcher, err := nswatch.Open()
	if err != nil {
		return err
	}
	defer watcher.Close()
	handles := map[string]*netlink.Handle{}
	for {
		event, err := watcher.Next(ctx)
		if err != nil {
			return err
		}
		switch event.Type {
		case nswatch.Ready, nswatch.Detached, nswatch.Deleted:
			// gone or replaced: the open socket would keep the namespace alive
			if handle := handles[event.Name]; handle != nil {
				handle.Close()
				delete(handles, event.Name)
				fmt.Println(nswatch.Printable(event.Name), "closed")
			}
		}
		if event.Type != nswatch.Ready {
			continue
		}
		handle, links, err := connect(event)
		if err != nil {
			// ENOENT, ESTALE: gone or replaced already; an event for that follows
			fmt.Fprintln(os.Stderr, "netlink:", err)
			continue
		}
		handles[event.Name] = handle
		line := nswatch.Printable(event.Name)
		for _, link := range links {
			line += " " + nswatch.Printable(link.Attrs().Name)
		}
		fmt.Println(line)
	}
}

// connect makes the socket on a thread inside the namespace. The socket stays there, whichever thread uses it.
func connect(ready nswatch.Event) (handle *netlink.Handle, links []netlink.Link, err error) {
	err = ready.Enter(func() error {
		handle, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if links, err = handle.LinkList(); err != nil {
		handle.Close()
	}
	return handle, links, err
}
