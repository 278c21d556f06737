//go:build linux

package nswatch_test

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

// about returns the next event of a namespace. Other namespaces of this host may change meanwhile.
func about(t *testing.T, watcher *nswatch.Watcher, netns nswatch.Netns) nswatch.Event {
	t.Helper()
	for {
		if event := next(t, watcher); event.Netns.Same(netns) {
			return event
		}
	}
}

func untilSynced(t *testing.T, watcher *nswatch.Watcher) (replayed []nswatch.Event) {
	t.Helper()
	for {
		event := next(t, watcher)
		if event.Type == nswatch.Synced {
			return replayed
		}
		replayed = append(replayed, event)
	}
}

// resyncWithout resyncs if the feature is missing that reports at once.
func resyncWithout(t *testing.T, feature nswatch.Feature, watcher *nswatch.Watcher) {
	t.Helper()
	if !has(t, feature) {
		if err := watcher.Resync(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestANamespaceWithoutAName(t *testing.T) {
	clean(t)
	watcher := open(t, nswatch.All())
	untilSynced(t, watcher)
	process := sleeper(t, "unshare", "--net")
	pid := process.Process.Pid
	netns, err := nswatch.NetnsForPID(pid)
	if err != nil {
		t.Fatal(err)
	}
	resyncWithout(t, nswatch.FeatureBirths, watcher)
	born := about(t, watcher, netns)
	path := fmt.Sprintf("/proc/%d/ns/net", pid)
	if born.Type != nswatch.NetnsNew || born.PID != pid || born.Path != path || born.Name != "" {
		t.Errorf("%+v, not a birth with process %d", born, pid)
	}
	if born.NSID != nswatch.NotAssigned || born.Netns.Ino != netns.Ino || born.Netns.Cookie != netns.Cookie {
		t.Errorf("%+v, not of %+v", born, netns)
	}
	born.Replayed = false
	if line := fmt.Sprintf("netns_new net:[%d] %s", netns.Ino, path); born.String() != line {
		t.Errorf("%q, not %q", born, line)
	}
	file, stat := opened(t, born)
	if stat.Ino != netns.Ino {
		t.Errorf("%d is open, not %d", stat.Ino, netns.Ino)
	}
	file.Close()
	inside := func() error {
		here, err := os.Readlink("/proc/thread-self/ns/net")
		if here != netns.String() {
			t.Errorf("inside %s, not %s", here, netns)
		}
		return err
	}
	if err := born.Enter(inside); err != nil {
		t.Error(err)
	}

	end(process)
	resyncWithout(t, nswatch.FeatureDeaths, watcher)
	dead := about(t, watcher, netns)
	if dead.Type != nswatch.NetnsDel || dead.PID != 0 || dead.Path != "" {
		t.Errorf("%+v, not a death", dead)
	}
	_, err = dead.OpenNetns()
	is(t, err, syscall.EINVAL)
	is(t, dead.Enter(func() error { return nil }), syscall.EINVAL)
}

func TestAllThatExist(t *testing.T) {
	clean(t)
	ipNetns(t, "add", "blue")
	blue, err := nswatch.NetnsForName("blue")
	if err != nil {
		t.Fatal(err)
	}
	watcher := open(t, nswatch.All())
	count := 0
	for _, event := range untilSynced(t, watcher) {
		if event.Type != nswatch.NetnsNew || !event.Replayed {
			t.Errorf("%v is not a replayed NetnsNew", event)
		}
		if event.Netns.Same(blue) {
			count++
			if event.Path != "/run/netns/blue" || event.PID != 0 {
				t.Errorf("%+v", event)
			}
		}
	}
	if count != 1 {
		t.Errorf("blue is replayed %d times", count)
	}
	if stats := watcher.Stats(); stats.Known < 2 || stats.Pending != 0 {
		t.Errorf("%+v", stats)
	}
	_, err = nswatch.Open(nswatch.All(), nswatch.MaxNames(1))
	is(t, err, syscall.E2BIG)
}

// The path leads to another namespace: the cookie finds the right one, with a privilege.
func TestOpenNetnsByItsCookie(t *testing.T) {
	clean(t)
	watcher := open(t, nswatch.All())
	untilSynced(t, watcher)
	ipNetns(t, "add", "blue")
	netns, err := nswatch.NetnsForName("blue")
	if err != nil {
		t.Fatal(err)
	}
	born := about(t, watcher, netns)
	kept, _ := opened(t, born)
	defer runtime.KeepAlive(kept)
	check := func(errno syscall.Errno) {
		t.Helper()
		if has(t, nswatch.FeatureCookie) {
			if _, stat := opened(t, born); stat.Ino != netns.Ino {
				t.Errorf("%d is open, not %d", stat.Ino, netns.Ino)
			}
		}
		unprivileged(t, func() {
			_, err := born.OpenNetns()
			is(t, err, errno)
		})
	}
	ipNetns(t, "del", "blue")
	check(syscall.ENOENT)
	ipNetns(t, "add", "blue")
	check(syscall.ESTALE)
}
