//go:build linux && go1.23

package nswatch_test

import (
	"context"
	"fmt"
	"log"
	"syscall"
	"testing"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

func TestRange(t *testing.T) {
	clean(t)
	watcher := open(t)
	ipNetns(t, "add", "blue")
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	var seen []string
	for event, err := range watcher.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, brief(event))
		if event.Type == nswatch.Created {
			break
		}
	}
	// events after the break are not lost
	expect(t, watcher, "ready blue")
	if fmt.Sprint(seen) != "[synced created blue]" {
		t.Error(seen)
	}

	ipNetns(t, "del", "blue")
	deleted := false
	for event, err := range watcher.All(ctx) {
		if deleted {
			// the error is the last pair, even if the loop continues
			is(t, err, context.Canceled)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if event.Type == nswatch.Deleted {
			deleted = true
			cancel()
		}
	}
	if !deleted {
		t.Error("the deletion is not reported")
	}

	watcher.Close()
	count := 0
	for event, err := range watcher.All(soon(t)) {
		count++
		is(t, err, nswatch.ErrClosed)
		if event != (nswatch.Event{}) {
			t.Error(event)
		}
	}
	if count != 1 {
		t.Errorf("%d ends", count)
	}
}

func TestRangeEndsWithTheDirectory(t *testing.T) {
	clean(t)
	dir := t.TempDir() + "/names"
	if err := syscall.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	watcher := open(t, nswatch.Dir(dir), nswatch.NoParent())
	if err := syscall.Rmdir(dir); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range watcher.All(soon(t)) {
		last = err
	}
	is(t, last, syscall.ENOENT)
}

// From Go 1.23 on: a range loop over a watcher.
func ExampleWatcher_All() {
	watcher, err := nswatch.Open(nswatch.NoReplay())
	if err != nil {
		log.Fatal(err)
	}
	defer watcher.Close()

	ip("netns", "add", "blue")
	for event, err := range watcher.All(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Type, event.Name)
		if event.Type == nswatch.Ready {
			ip("netns", "del", "blue")
		}
		if event.Type == nswatch.Deleted {
			break
		}
	}
	// Output:
	// created blue
	// ready blue
	// deleted blue
}
