//go:build linux

package nswatch_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

func TestReplayAndChanges(t *testing.T) {
	clean(t)
	ipNetns(t, "add", "before")
	watcher := open(t)
	ready := expect(t, watcher, "created before (replayed)", "ready before (replayed)")
	var stat syscall.Stat_t
	if err := syscall.Stat("/run/netns/before", &stat); err != nil {
		t.Fatal(err)
	}
	if ready.Netns.Ino != stat.Ino || ready.Netns.Dev != uint64(stat.Dev) {
		t.Errorf("it is %d:%d, reported as %d:%d", stat.Dev, stat.Ino, ready.Netns.Dev, ready.Netns.Ino)
	}
	if ready.NSID != nswatch.NotAssigned || ready.Origin != nswatch.NotAssigned {
		t.Errorf("an nsid or origin on a Ready: %d, %d", ready.NSID, ready.Origin)
	}
	if line := fmt.Sprintf("ready before net:[%d] (replayed)", stat.Ino); ready.String() != line {
		t.Errorf("%q, not %q", ready, line)
	}
	expect(t, watcher, "synced")
	ipNetns(t, "add", "blue")
	expect(t, watcher, "created blue", "ready blue")
	ipNetns(t, "del", "before")
	ipNetns(t, "del", "blue")
	expect(t, watcher, "deleted before", "deleted blue")
}

func TestNamesAreBytes(t *testing.T) {
	clean(t)
	watcher := open(t, nswatch.NoReplay())
	const name = "\xff\xfe näme\n"
	ipNetns(t, "add", name)
	event := expect(t, watcher, "created "+name, "ready "+name)
	expect(t, open(t), "created "+name+" (replayed)")
	file, err := event.OpenNetns()
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
}

func TestTimes(t *testing.T) {
	clean(t)
	before := time.Now()
	watcher := open(t, nswatch.Dir(t.TempDir()))
	first := next(t, watcher)
	if err := watcher.Resync(); err != nil {
		t.Fatal(err)
	}
	second := next(t, watcher)
	// the conversion reads two clocks in turn
	const between = time.Second
	if first.Time().Before(before.Add(-between)) || first.Time().After(time.Now().Add(between)) {
		t.Errorf("%v is not between %v and now", first.Time(), before)
	}
	if second.Monotonic < first.Monotonic || first.Monotonic <= 0 {
		t.Errorf("%v came after %v", second.Monotonic, first.Monotonic)
	}
	if age := time.Since(first.Time()); age < -between || age > patience {
		t.Errorf("it is %v old", age)
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	clean(t)
	watcher := open(t, nswatch.NoReplay())

	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error)
	go func() {
		_, err := watcher.Next(ctx)
		result <- err
	}()
	// in Go's poller, without a thread
	untilWaiting(t, 1, "IO wait", "(*Watcher).Next")
	cancel()
	is(t, <-result, context.Canceled)

	ctx, cancel = context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := watcher.Next(ctx)
	is(t, err, context.DeadlineExceeded)

	// a context that has ended gets no event, even if one is available
	ipNetns(t, "add", "blue")
	_, err = watcher.Next(ctx)
	is(t, err, context.DeadlineExceeded)
	expect(t, watcher, "created blue", "ready blue")
}

// One call has the turn, the others wait for it: each ends with its own context.
func TestContextsOfSeveralCalls(t *testing.T) {
	clean(t)
	watcher := open(t, nswatch.NoReplay())
	start := func(ctx context.Context) <-chan error {
		result := make(chan error, 1)
		go func() {
			_, err := watcher.Next(ctx)
			result <- err
		}()
		return result
	}
	first, cancelFirst := context.WithCancel(context.Background())
	second, cancelSecond := context.WithCancel(context.Background())
	third, cancelThird := context.WithCancel(context.Background())
	defer cancelThird()
	waiting := start(first)
	untilWaiting(t, 1, "IO wait", "(*Watcher).Next")
	queued, alsoQueued := start(second), start(third)
	untilWaiting(t, 2, "select", "(*Watcher).takeTurn")
	cancelSecond()
	is(t, <-queued, context.Canceled)
	cancelFirst()
	is(t, <-waiting, context.Canceled)
	untilWaiting(t, 1, "IO wait", "(*Watcher).Next")
	if err := watcher.Resync(); err != nil {
		t.Fatal(err)
	}
	if err := <-alsoQueued; err != nil {
		t.Fatal("the third call got no event:", err)
	}
}

func TestCloseEndsNext(t *testing.T) {
	clean(t)
	watcher := open(t, nswatch.NoReplay())
	results := make(chan error)
	for i := 0; i < 3; i++ {
		go func() {
			_, err := watcher.Next(context.Background())
			results <- err
		}()
	}
	untilWaiting(t, 1, "IO wait", "(*Watcher).Next")
	untilWaiting(t, 2, "select", "(*Watcher).takeTurn")
	var closers sync.WaitGroup
	for i := 0; i < 3; i++ {
		closers.Add(1)
		go func() {
			defer closers.Done()
			if err := watcher.Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	for i := 0; i < 3; i++ {
		is(t, <-results, nswatch.ErrClosed)
		is(t, nswatch.ErrClosed, fs.ErrClosed)
	}
	closers.Wait()

	_, err := watcher.Next(context.Background())
	is(t, err, nswatch.ErrClosed)
	is(t, watcher.Resync(), nswatch.ErrClosed)
	if stats := watcher.Stats(); stats != (nswatch.Stats{}) {
		t.Errorf("a closed watcher has %+v", stats)
	}
	events, reason := watcher.Events(context.Background())
	if event, ok := <-events; ok {
		t.Errorf("a closed watcher returned %v", event)
	}
	is(t, reason(), nswatch.ErrClosed)
}

func TestEvents(t *testing.T) {
	clean(t)
	watcher := open(t)
	ctx, cancel := context.WithCancel(soon(t))
	events, reason := watcher.Events(ctx)
	if event := <-events; event.Type != nswatch.Synced {
		t.Errorf("%v, not synced", event)
	}
	ipNetns(t, "add", "blue")
	for _, line := range []string{"created blue", "ready blue"} {
		if event := <-events; brief(event) != line {
			t.Errorf("%q, not %q", brief(event), line)
		}
	}
	if err := reason(); err != nil {
		t.Error("while it is open:", err)
	}
	untilWaiting(t, 1, "IO wait", "(*Watcher).send")
	cancel()
	if event, ok := <-events; ok {
		t.Errorf("%v after the end", event)
	}
	is(t, reason(), context.Canceled)
	ipNetns(t, "del", "blue")
	expect(t, watcher, "deleted blue")
}

// Without a receiver the goroutine ends with the context, and its event is not lost.
func TestAbandonedEvents(t *testing.T) {
	clean(t)
	ipNetns(t, "add", "blue")
	watcher := open(t)
	ctx, cancel := context.WithCancel(context.Background())
	events, reason := watcher.Events(ctx)
	<-events
	untilWaiting(t, 1, "select", "(*Watcher).send")
	cancel()
	until(t, "the end of the channel", func() bool { return reason() != nil })
	is(t, reason(), context.Canceled)
	expect(t, watcher, "ready blue (replayed)", "synced")
}

func TestCloseEndsAbandonedEvents(t *testing.T) {
	clean(t)
	watcher := open(t)
	events, reason := watcher.Events(context.Background())
	untilWaiting(t, 1, "select", "(*Watcher).send")
	watcher.Close()
	is(t, reason(), nswatch.ErrClosed)
	if event, ok := <-events; ok {
		t.Errorf("%v after Close", event)
	}
}

// Next beside Events gets events in between, each event once and in order.
func TestNextBesideEvents(t *testing.T) {
	clean(t)
	watcher := open(t)
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	events, _ := watcher.Events(ctx)
	untilWaiting(t, 1, "select", "(*Watcher).send")
	result := make(chan nswatch.Event)
	go func() {
		event, err := watcher.Next(ctx)
		if err != nil {
			t.Error(err)
		}
		result <- event
	}()
	untilWaiting(t, 1, "select", "(*Watcher).takeTurn")
	if event := <-events; event.Type != nswatch.Synced {
		t.Errorf("%v came before synced", event)
	}
	// one of the two gets the event
	if err := watcher.Resync(); err != nil {
		t.Fatal(err)
	}
	if err := watcher.Resync(); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 2; i++ {
		select {
		case <-events:
		case <-result:
		case <-ctx.Done():
			t.Fatal("an event is missing")
		}
	}
	cancel()
	for range events {
	}
	select {
	case <-result: // it was cancelled
	default:
	}
}

// Go's poller is edge-triggered: wait for each of many changes of a name.
func TestNoWakeUpIsLost(t *testing.T) {
	clean(t)
	dir := t.TempDir()
	watcher := open(t, nswatch.Dir(dir), nswatch.NoReplay())
	path := filepath.Join(dir, "blue")
	for i := 0; i < 500; i++ {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		expect(t, watcher, "created blue")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect(t, watcher, "deleted blue")
	}
}

// Several goroutines take events while others make names and call Stats and Resync: each event arrives once.
func TestConcurrentUse(t *testing.T) {
	for _, queue := range [][]nswatch.Option{nil, {nswatch.Queue(16, nswatch.QueueBlock)}} {
		t.Run(fmt.Sprintf("%d options", len(queue)), func(t *testing.T) {
			clean(t)
			dir := t.TempDir()
			watcher := open(t, append(queue, nswatch.Dir(dir), nswatch.NoReplay())...)
			ctx, cancel := context.WithCancel(soon(t))
			const names = 300
			events := make(chan nswatch.Event)
			var tasks sync.WaitGroup
			run := func(task func()) {
				tasks.Add(1)
				go func() {
					defer tasks.Done()
					task()
				}()
			}
			for i := 0; i < 4; i++ {
				run(func() {
					for {
						event, err := watcher.Next(ctx)
						if err != nil {
							is(t, err, context.Canceled)
							return
						}
						events <- event
					}
				})
			}
			run(func() {
				for ctx.Err() == nil {
					watcher.Stats()
					if err := watcher.Resync(); err != nil {
						t.Error(err)
					}
				}
			})
			run(func() {
				for i := 0; i < names; i++ {
					if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
						t.Error(err)
					}
				}
			})
			seen := map[string]bool{}
			for len(seen) < names {
				select {
				case event := <-events:
					if event.Type == nswatch.Created {
						if seen[event.Name] {
							t.Errorf("%v twice", event)
						}
						seen[event.Name] = true
					}
				case <-ctx.Done():
					t.Fatalf("only %d names are reported: %v", len(seen), ctx.Err())
				}
			}
			cancel()
			go func() {
				tasks.Wait()
				close(events)
			}()
			for range events {
			}
			if known := watcher.Stats().Known; known != names {
				t.Errorf("%d are known", known)
			}
		})
	}
}

// Close at any time: between two calls of C, and during one.
func TestCloseDuringUse(t *testing.T) {
	clean(t)
	dir := t.TempDir()
	for i := 0; i < 50; i++ {
		watcher := open(t, nswatch.Dir(dir))
		var tasks sync.WaitGroup
		run := func(task func() error) {
			tasks.Add(1)
			go func() {
				defer tasks.Done()
				for {
					if err := task(); err != nil {
						is(t, err, nswatch.ErrClosed)
						return
					}
				}
			}()
		}
		run(watcher.Resync)
		taken := make(chan struct{}, 1)
		run(func() error {
			_, err := watcher.Next(context.Background())
			select {
			case taken <- struct{}{}:
			default:
			}
			return err
		})
		<-taken
		watcher.Close()
		tasks.Wait()
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestNothingIsLeaked(t *testing.T) {
	clean(t)
	dir := t.TempDir()
	once := func() {
		watcher := open(t, nswatch.Dir(dir))
		expect(t, watcher, "synced")
		watcher.Close()
	}
	once()
	before := descriptors(t)
	for i := 0; i < 1000; i++ {
		once()
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d file descriptors became %d", before, after)
	}
	for i := 0; i < 100; i++ {
		if _, err := nswatch.Open(nswatch.Dir(dir+"/missing"), nswatch.NoParent()); err == nil {
			t.Fatal("opened a missing directory")
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("refusals: %d file descriptors became %d", before, after)
	}
}

// At every possible limit of descriptors Open fails and closes those that it opened.
func TestLimitOfDescriptors(t *testing.T) {
	clean(t)
	dir := t.TempDir()
	open(t, nswatch.Dir(dir)).Close()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	opened, refused := 0, 0
	for more := uint64(0); more < 16; more++ {
		file, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		// the lowest free number
		free := uint64(file.Fd())
		file.Close()
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: free + more, Max: limit.Max}); err != nil {
			t.Fatal(err)
		}
		watcher, err := nswatch.Open(nswatch.Dir(dir))
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		if err == nil {
			opened++
			watcher.Close()
		} else {
			refused++
			is(t, err, syscall.EMFILE)
		}
		if after := descriptors(t); after != before {
			t.Errorf("with %d to spare, %d file descriptors became %d: %v", more, before, after, err)
		}
	}
	if opened == 0 || refused < 4 {
		t.Errorf("%d times opened, %d times refused", opened, refused)
	}
}

func TestOptions(t *testing.T) {
	clean(t)
	parent := t.TempDir()
	dir := filepath.Join(parent, "netns")
	make := func() {
		t.Helper()
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}

	watcher := open(t, nswatch.Named(), nswatch.Dir(dir), nswatch.DirEvents())
	expect(t, watcher, "synced")
	make()
	expect(t, watcher, "dir_created")
	ending := open(t, nswatch.Dir(dir), nswatch.NoParent(), nswatch.NoReplay())
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	expect(t, watcher, "dir_deleted")
	expect(t, ending, "dir_deleted")
	for i := 0; i < 2; i++ {
		_, err := ending.Next(soon(t))
		is(t, err, syscall.ENOENT)
	}

	// a name that disappears within the time is never reported, a name that stays is
	make()
	settling := open(t, nswatch.Dir(dir), nswatch.NoReplay(), nswatch.Settle(100*time.Microsecond+time.Second))
	for _, name := range []string{"short", "long"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if name == "short" {
			os.Remove(filepath.Join(dir, name))
		}
	}
	expect(t, settling, "created long")
}

// A directory that others may write to: no link is followed, and names beyond the limit are reported when there is room.
func TestNoSymlinksAndMaxNames(t *testing.T) {
	clean(t)
	ipNetns(t, "add", "blue")
	if err := os.Symlink("/proc/self/ns/net", "/run/netns/own"); err != nil {
		t.Fatal(err)
	}
	if watcher, err := nswatch.Open(nswatch.MaxNames(1)); !errors.Is(err, syscall.E2BIG) {
		t.Fatal(watcher, err)
	}
	watcher := open(t, nswatch.NoSymlinks(), nswatch.MaxNames(2), nswatch.NoReplay())
	if err := os.Symlink("blue", "/run/netns/alias"); err != nil {
		t.Fatal(err)
	}
	if event, err := watcher.Next(context.Background()); !errors.Is(err, syscall.E2BIG) {
		t.Fatal(event, err)
	}
	if err := os.Remove("/run/netns/own"); err != nil {
		t.Fatal(err)
	}
	expect(t, watcher, "created alias")
}

func TestMountEvents(t *testing.T) {
	clean(t)
	ipNetns(t, "add", "blue")
	watcher := open(t, nswatch.MountEvents())
	expect(t, watcher, "created blue (replayed)", "ready blue (replayed)", "synced")
	if err := syscall.Unmount("/run/netns/blue", syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	expect(t, watcher, "detached blue")
}

// After Prepare a watcher works on a thread that has given up its capabilities.
func TestPrepare(t *testing.T) {
	clean(t)
	watcher := open(t, nswatch.Prepare(), nswatch.MountEvents())
	expect(t, watcher, "synced")
	ipNetns(t, "add", "blue")
	unprivileged(t, func() { expect(t, watcher, "created blue", "ready blue") })
}

// A full queue drops events, reports an Overflow, and resyncs.
func TestQueueOverflow(t *testing.T) {
	for _, policy := range []nswatch.QueuePolicy{nswatch.QueueDropNewest, nswatch.QueueDropOldest} {
		clean(t)
		dir := t.TempDir()
		watcher := open(t, nswatch.Dir(dir), nswatch.NoReplay(), nswatch.Queue(2, policy))
		const names = 50
		for i := 0; i < names; i++ {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		seen := map[string]bool{}
		overflows, synced := 0, 0
		dropped := uint64(0)
		for len(seen) < names || overflows == 0 || synced < overflows {
			switch event := next(t, watcher); event.Type {
			case nswatch.Created:
				if seen[event.Name] {
					t.Errorf("%v twice", event)
				}
				seen[event.Name] = true
			case nswatch.Overflow:
				overflows++
				dropped += event.Dropped
			case nswatch.Synced:
				synced++
			}
		}
		if stats := watcher.Stats(); stats.Overflows != uint64(overflows) || stats.Dropped != dropped || dropped == 0 {
			t.Errorf("%d overflows with %d lost are reported, %+v counted", overflows, dropped, stats)
		}
	}
}

func TestNamesOfTypes(t *testing.T) {
	for number, name := range []string{
		"unknown", "created", "ready", "detached", "deleted", "dir_created", "dir_deleted", "nsid_new", "nsid_del",
		"synced", "overflow", "netns_new", "netns_del", "unknown",
	} {
		if is := nswatch.EventType(number).String(); is != name {
			t.Errorf("%d is %q, not %q", number, is, name)
		}
	}
}
