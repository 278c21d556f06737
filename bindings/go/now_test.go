//go:build linux

package nswatch_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

func TestListing(t *testing.T) {
	clean(t)
	for _, dir := range []string{nswatch.DefaultDir, "/run/not/there"} {
		if events, err := nswatch.ListNamed(dir); err != nil || len(events) != 0 {
			t.Errorf("%s: %v, %v", dir, events, err)
		}
	}
	ipNetns(t, "add", "blue")
	blue, err := nswatch.NetnsForName("blue")
	if err != nil {
		t.Fatal(err)
	}
	events, err := nswatch.ListNamed(nswatch.DefaultDir)
	if err != nil || len(events) != 2 {
		t.Fatal(events, err)
	}
	if events[0].Type != nswatch.Created || events[1].Type != nswatch.Ready || !events[1].Netns.Same(blue) {
		t.Error(events)
	}
	_, err = nswatch.ListNamed("netns")
	is(t, err, syscall.EINVAL)

	all, err := nswatch.ListAll()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, event := range all {
		if event.Type != nswatch.NetnsNew || !event.Replayed {
			t.Error(event)
		}
		if event.Netns.Same(blue) {
			found++
		}
	}
	if found != 1 {
		t.Errorf("found %d times: %v", found, all)
	}
}

func TestWaitingForAName(t *testing.T) {
	clean(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var adding sync.WaitGroup
	adding.Add(1)
	go func() {
		defer adding.Done()
		if out, err := exec.Command("ip", "netns", "add", "late").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}()
	netns, err := nswatch.WaitReady(ctx, "late")
	adding.Wait()
	if err != nil {
		t.Fatal(err)
	}
	late, err := nswatch.NetnsForName("late")
	if err != nil || !netns.Same(late) {
		t.Error(netns, late, err)
	}
	again, err := nswatch.WaitReady(ctx, "/run/netns/late")
	if err != nil || !again.Same(late) {
		t.Error(again, err)
	}
}

func TestWaitReadyFails(t *testing.T) {
	clean(t)
	if err := os.MkdirAll(nswatch.DefaultDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(nswatch.DefaultDir+"/pending", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pending", "missing", "/run/not/there"} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		_, err := nswatch.WaitReady(ctx, name)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, errno := range map[string]syscall.Errno{
		"": syscall.EINVAL, "/": syscall.EINVAL, "../netns/x": syscall.EINVAL, "/dev/null/x": syscall.ENOTDIR,
	} {
		_, err := nswatch.WaitReady(context.Background(), name)
		is(t, err, errno)
	}
}
