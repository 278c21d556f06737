// Nsid tells when the network namespace of a process dies, though it has no name: nsid PID
//
// It asks for the id that the namespace has here, gives it one if it has none, and waits for the notice of its death.
// Try it on `unshare --net sleep 10`; to assign takes CAP_NET_ADMIN.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

func main() {
	pid := 0
	if len(os.Args) > 1 {
		pid, _ = strconv.Atoi(os.Args[1])
	}
	if err := untilDeath(pid); err != nil {
		fmt.Fprintln(os.Stderr, "nsid:", err)
		os.Exit(1)
	}
}

func untilDeath(pid int) error {
	nsid, watcher, err := watch(pid)
	if err != nil {
		return err
	}
	defer watcher.Close()
	for {
		event, err := watcher.Next(context.Background())
		if err != nil {
			return err
		}
		if event.Type == nswatch.NSIDDel && event.NSID == nsid {
			fmt.Println(nsid, "is gone")
			return nil
		}
	}
}

func watch(pid int) (int, *nswatch.Watcher, error) {
	nsid, err := nswatch.NSIDForPID(pid)
	if err != nil {
		return 0, nil, err
	}
	// while it is open the namespace lives: it cannot die before there is a watcher to tell
	namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return 0, nil, err
	}
	defer namespace.Close()
	if nsid != nswatch.NotAssigned {
		fmt.Printf("process %d is in the namespace that is %d here\n", pid, nsid)
	} else {
		fmt.Printf("process %d is in a namespace without an id\n", pid)
		if nsid, err = nswatch.AssignNSID(int(namespace.Fd()), nswatch.NotAssigned); err != nil {
			return 0, nil, err
		}
		fmt.Printf("now it is %d\n", nsid)
	}
	watcher, err := nswatch.Open(nswatch.NSID())
	return nsid, watcher, err
}
