//go:build linux

package nswatch_test

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

func threads(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Two hundred waiting goroutines occupy no thread, also while the garbage collector runs all the time.
func TestManyWatchers(t *testing.T) {
	clean(t)
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	ipNetns(t, "add", "blue")
	before := threads(t)

	const many = 200
	events := make(chan nswatch.Event)
	var watchers []*nswatch.Watcher
	var tasks sync.WaitGroup
	for i := 0; i < many; i++ {
		watcher := open(t, nswatch.NSID(), nswatch.NoReplay())
		watchers = append(watchers, watcher)
		tasks.Add(1)
		go func() {
			defer tasks.Done()
			for {
				event, err := watcher.Next(context.Background())
				if err != nil {
					is(t, err, nswatch.ErrClosed)
					return
				}
				events <- event
			}
		}()
	}
	untilWaiting(t, many, "IO wait", "(*Watcher).Next")
	// the runtime starts some threads itself
	if more := threads(t) - before; more > 10 {
		t.Errorf("%d waiting goroutines took %d threads", many, more)
	}
	ipNetns(t, "set", "blue", "7")
	ctx := soon(t)
	for i := 0; i < many; i++ {
		select {
		case event := <-events:
			if brief(event) != "nsid_new 7" {
				t.Errorf("%v", event)
			}
		case <-ctx.Done():
			t.Fatalf("only %d of %d events arrived", i, many)
		}
	}
	for _, watcher := range watchers {
		watcher.Close()
	}
	tasks.Wait()
}

// The garbage collector closes a forgotten watcher, but not one with a waiting call.
func TestForgotten(t *testing.T) {
	clean(t)
	dir := t.TempDir()
	open(t, nswatch.Dir(dir)).Close()
	before := descriptors(t)
	func() {
		for i := 0; i < 20; i++ {
			if _, err := nswatch.Open(nswatch.Dir(dir), nswatch.NoReplay()); err != nil {
				t.Fatal(err)
			}
		}
	}()
	until(t, "the descriptors of forgotten watchers are closed", func() bool {
		runtime.GC()
		return descriptors(t) == before
	})

	events := make(chan nswatch.Event)
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	go func() {
		watcher, err := nswatch.Open(nswatch.Dir(dir), nswatch.NoReplay())
		if err != nil {
			t.Error(err)
		}
		channel, _ := watcher.Events(ctx)
		for event := range channel {
			events <- event
		}
		watcher.Close()
		close(events)
	}()
	untilWaiting(t, 1, "IO wait", "(*Watcher).send")
	for i := 0; i < 5; i++ {
		runtime.GC()
	}
	if err := os.WriteFile(dir+"/blue", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if event := <-events; brief(event) != "created blue" {
		t.Errorf("%v", event)
	}
	cancel()
	for range events {
	}
}

// Close ends Events that wait for the kernel, too.
func TestCloseEndsEventsThatWait(t *testing.T) {
	clean(t)
	watcher := open(t, nswatch.NoReplay())
	events, reason := watcher.Events(context.Background())
	untilWaiting(t, 1, "IO wait", "(*Watcher).send")
	watcher.Close()
	if event, ok := <-events; ok {
		t.Errorf("%v after Close", event)
	}
	is(t, reason(), nswatch.ErrClosed)
}
