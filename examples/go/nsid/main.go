// Nsid reports the death of the network namespace of a process, also without a name: nsid PID
//
// It queries the nsid of the namespace, assigns one if there is none, and waits for NSIDDel. Try it on
// `unshare --net sleep 10`; assigning requires CAP_NET_ADMIN.
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
			fmt.Printf("the namespace with nsid %d is dead\n", nsid)
			return nil
		}
	}
}

func watch(pid int) (int, *nswatch.Watcher, error) {
	nsid, err := nswatch.NSIDForPID(pid)
	if err != nil {
		return 0, nil, err
	}
	// an open descriptor keeps the namespace alive until the watcher exists
	namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return 0, nil, err
	}
	defer namespace.Close()
	if nsid != nswatch.NotAssigned {
		fmt.Printf("process %d is in the namespace with nsid %d\n", pid, nsid)
	} else {
		fmt.Printf("process %d is in a namespace without an nsid\n", pid)
		if nsid, err = nswatch.AssignNSID(int(namespace.Fd()), nswatch.NotAssigned); err != nil {
			return 0, nil, err
		}
		fmt.Printf("assigned nsid %d\n", nsid)
	}
	watcher, err := nswatch.Open(nswatch.NSID())
	return nsid, watcher, err
}
