// The driver of the conformance tests in Go: README.md has the protocol.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

const patience = 20 * time.Second

var (
	watcher *nswatch.Watcher
	event   nswatch.Event
	kept    nswatch.Netns
	out     = bufio.NewWriter(os.Stdout)
)

func option(word string) nswatch.Option {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "nsid":
		return nswatch.NSID()
	case "named":
		return nswatch.Named()
	case "all":
		return nswatch.All()
	case "no-replay":
		return nswatch.NoReplay()
	case "no-parent":
		return nswatch.NoParent()
	case "dir-events":
		return nswatch.DirEvents()
	case "mount-events":
		return nswatch.MountEvents()
	case "no-mount-events":
		return nswatch.NoMountEvents()
	case "no-symlinks":
		return nswatch.NoSymlinks()
	case "max-names":
		return nswatch.MaxNames(number(value))
	case "all-nsid":
		return nswatch.AllNSID()
	case "dir":
		return nswatch.Dir(value)
	case "settle":
		return nswatch.Settle(time.Duration(number(value)) * time.Millisecond)
	case "rcvbuf":
		return nswatch.RcvBuf(number(value))
	default:
		capacity, policy, _ := strings.Cut(value, ",")
		policies := map[string]nswatch.QueuePolicy{
			"block": nswatch.QueueBlock, "drop-newest": nswatch.QueueDropNewest, "drop-oldest": nswatch.QueueDropOldest,
		}
		return nswatch.Queue(number(capacity), policies[policy])
	}
}

func number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		panic(err)
	}
	return n
}

func open(words []string) (err error) {
	var options []nswatch.Option
	for _, word := range words {
		options = append(options, option(word))
	}
	watcher, err = nswatch.Open(options...)
	return err
}

func hexadecimal(text string) string {
	if text == "" {
		return "-"
	}
	return fmt.Sprintf("%x", text)
}

func line(e nswatch.Event) string {
	replayed := 0
	if e.Replayed {
		replayed = 1
	}
	return fmt.Sprintln("event", e.Type, replayed, hexadecimal(e.Name), e.Netns.Dev, e.Netns.Ino, e.Netns.Cookie, e.NSID,
		e.Origin, e.PortID, e.Dropped, e.Monotonic.Nanoseconds(), e.PID, hexadecimal(e.Path))
}

// until prints events until one of this type, which it returns; "" stands for any type.
func until(kind string) (string, error) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		next, err := watcher.Next(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return "nothing\n", nil
		}
		if err != nil {
			return "", err
		}
		event = next
		if kind == "" || event.Type.String() == kind {
			return line(event), nil
		}
		fmt.Fprint(out, line(event))
	}
}

func stat(name string) string {
	s := watcher.Stats()
	return fmt.Sprintln("stat", map[string]uint64{
		"delivered": s.Delivered, "dropped": s.Dropped, "overflows": s.Overflows, "resyncs": s.Resyncs,
		"queued": s.Queued, "queued_max": s.QueuedMax, "pending": s.Pending, "known": s.Known,
	}[name])
}

func feature(name string) (string, error) {
	has, err := nswatch.Has(map[string]nswatch.Feature{
		"mount_events": nswatch.FeatureMountEvents, "mount_poll": nswatch.FeatureMountPoll, "cookie": nswatch.FeatureCookie,
		"mount_id": nswatch.FeatureMountID, "ns_handles": nswatch.FeatureNSHandles, "statmount": nswatch.FeatureStatmount,
		"target_nsid": nswatch.FeatureTargetNSID, "all_nsid": nswatch.FeatureAllNSID, "listns": nswatch.FeatureListNS,
		"births": nswatch.FeatureBirths, "deaths": nswatch.FeatureDeaths,
	}[name])
	if has {
		return "feature 1\n", err
	}
	return "feature 0\n", err
}

// described returns the identity of an open namespace, or the error of opening it.
func described(file *os.File, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer file.Close()
	var status syscall.Stat_t
	err = syscall.Fstat(int(file.Fd()), &status)
	return fmt.Sprintln("netns", status.Dev, status.Ino), err
}

// find finds an identity in the way that the first word names.
func find(words []string) (nswatch.Netns, error) {
	switch words[0] {
	case "event":
		return event.Netns, nil
	case "pid":
		return nswatch.NetnsForPID(number(words[1]))
	case "nsid":
		return nswatch.NetnsForNSID(number(words[1]))
	case "ready":
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return nswatch.WaitReady(ctx, words[1])
	case "fd":
		file, err := os.Open(words[1])
		if err != nil {
			return nswatch.Netns{}, err
		}
		defer file.Close()
		return nswatch.NetnsForFD(int(file.Fd()))
	default:
		return nswatch.NetnsForName(words[1])
	}
}

func identify(words []string) (string, error) {
	found, err := find(words)
	if err == nil {
		kept = found
	}
	return fmt.Sprintln("netns", found.Dev, found.Ino), err
}

func same(words []string) (string, error) {
	found, err := find(words)
	if kept.Same(found) {
		return "same 1\n", err
	}
	return "same 0\n", err
}

func nsid(nsid int, err error) (string, error) { return fmt.Sprintln("nsid", nsid), err }

// opened calls a function with an open namespace.
func opened(path string, question func(fd int) (int, error)) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return nsid(question(int(file.Fd())))
}

func obey(command string, words []string) (string, error) {
	switch command {
	case "open":
		return "ok\n", open(words)
	case "wait":
		return until("")
	case "until":
		return until(words[0])
	case "resync":
		return "ok\n", watcher.Resync()
	case "stat":
		return stat(words[0]), nil
	case "feature":
		return feature(words[0])
	case "netns":
		return described(event.OpenNetns())
	case "identify":
		return identify(words)
	case "same":
		return same(words)
	case "reopen":
		return described(kept.Open(words[0]))
	case "pid":
		return nsid(nswatch.NSIDForPID(number(words[0])))
	case "name":
		return nsid(nswatch.NSIDForName(words[0]))
	case "fd":
		return opened(words[0], nswatch.NSIDForFD)
	case "assign":
		wanted := nswatch.NotAssigned
		if len(words) > 1 {
			wanted = number(words[1])
		}
		return opened(words[0], func(fd int) (int, error) { return nswatch.AssignNSID(fd, wanted) })
	case "translate":
		return nsid(nswatch.TranslateNSID(number(words[0]), number(words[1])))
	case "list":
		nsids, err := nswatch.ListNSIDs()
		return fmt.Sprintln("nsids", strings.Trim(fmt.Sprint(nsids), "[]")), err
	default:
		return "ok\n", watcher.Close()
	}
}

func main() {
	for input := bufio.NewScanner(os.Stdin); input.Scan(); out.Flush() {
		words := strings.Fields(input.Text())
		answer, err := obey(words[0], words[1:])
		var errno syscall.Errno
		if errors.As(err, &errno) {
			answer = fmt.Sprintln("error", int(errno))
		} else if err != nil {
			panic(err)
		}
		fmt.Fprint(out, answer)
	}
}
