//go:build linux

package nswatch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

// The deadline of all waits; no test waits for time to pass.
const patience = 20 * time.Second

// The tests run in a sandbox, where they may make namespaces.
func TestMain(m *testing.M) {
	if os.Getenv("NSWATCH_SANDBOX") == "" {
		sandbox, err := filepath.Abs("../../tests/sandbox")
		if err == nil {
			err = syscall.Exec(sandbox, append([]string{sandbox}, os.Args...), os.Environ())
		}
		fmt.Fprintln(os.Stderr, "the tests run in tests/sandbox of the repository of the library:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func ipNetns(t testing.TB, arguments ...string) {
	t.Helper()
	if out, err := exec.Command("ip", append([]string{"netns"}, arguments...)...).CombinedOutput(); err != nil {
		t.Fatalf("ip netns %q: %v: %s", arguments, err, out)
	}
}

// children returns the child processes that have not been waited for.
func children(t testing.TB) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(files) == 0 {
		t.Fatal("the kernel does not list the children of a process:", err)
	}
	for _, file := range files {
		// an unreadable file belongs to a thread that has ended
		text, _ := os.ReadFile(file)
		for _, word := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// clean removes the namespaces at the end of a test, and fails if the test left a goroutine or a process.
func clean(t testing.TB) {
	t.Helper()
	before, processes := runtime.NumGoroutine(), len(children(t))
	t.Cleanup(func() {
		names, _ := os.ReadDir(nswatch.DefaultDir)
		for _, name := range names {
			for syscall.Unmount(filepath.Join(nswatch.DefaultDir, name.Name()), syscall.MNT_DETACH) == nil {
			}
		}
		os.RemoveAll(nswatch.DefaultDir)
		// the kernel removes them some time later; until then they have their nsids
		until(t, "the end of the namespaces", func() bool {
			nsids, err := nswatch.ListNSIDs()
			return err == nil && len(nsids) == 0
		})
		until(t, "no more goroutines than before", func() bool { return runtime.NumGoroutine() <= before })
		if left := children(t); len(left) > processes {
			t.Errorf("%d processes became %v", processes, left)
		}
	})
}

// until polls for a condition that nothing reports.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s\n%s", what, stacks())
		}
	}
}

func stacks() []byte {
	buffer := make([]byte, 1<<20)
	return buffer[:runtime.Stack(buffer, true)]
}

// untilWaiting waits until so many goroutines are in a function and in a state, as the runtime names it.
func untilWaiting(t testing.TB, count int, state, function string) {
	t.Helper()
	until(t, fmt.Sprintf("%d × %s in %s", count, state, function), func() bool {
		found := 0
		for _, stack := range bytes.Split(stacks(), []byte("\n\n")) {
			first, rest, _ := bytes.Cut(stack, []byte("\n"))
			if bytes.Contains(first, []byte("["+state)) && bytes.Contains(rest, []byte(function)) {
				found++
			}
		}
		return found == count
	})
}

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func open(t testing.TB, options ...nswatch.Option) *nswatch.Watcher {
	t.Helper()
	watcher, err := nswatch.Open(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { watcher.Close() })
	return watcher
}

func next(t testing.TB, watcher *nswatch.Watcher) nswatch.Event {
	t.Helper()
	event, err := watcher.Next(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	return event
}

// brief returns an event without its numbers.
func brief(event nswatch.Event) string {
	text := event.Type.String()
	if event.Name != "" {
		text += " " + event.Name
	}
	if event.Type == nswatch.NSIDNew || event.Type == nswatch.NSIDDel {
		text += fmt.Sprint(" ", event.NSID)
	}
	if event.Replayed {
		text += " (replayed)"
	}
	return text
}

// expect compares the next events with the lines, and returns the last one.
func expect(t testing.TB, watcher *nswatch.Watcher, lines ...string) nswatch.Event {
	t.Helper()
	var event nswatch.Event
	for _, line := range lines {
		if event = next(t, watcher); brief(event) != line {
			t.Fatalf("%q, not %q", brief(event), line)
		}
	}
	return event
}

func is(t testing.TB, err, wanted error) {
	t.Helper()
	if !errors.Is(err, wanted) {
		t.Fatalf("%v, not %v", err, wanted)
	}
}
