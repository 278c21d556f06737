package nswatch

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
)

// ListNamed returns the names in a directory as events: a Created for each, followed by a Ready if you can open it. A missing
// directory has none. The error is as for Open.
func ListNamed(dir string) ([]Event, error) { return list(Dir(dir)) }

// ListAll returns every network namespace of this host that the library can see: a NetnsNew for each. The error is as for
// Open with All.
func ListAll() ([]Event, error) { return list(All()) }

func list(option Option) ([]Event, error) {
	watcher, err := Open(option)
	if err != nil {
		return nil, err
	}
	defer watcher.Close()
	var events []Event
	for {
		event, err := watcher.Next(context.Background())
		if err != nil {
			return nil, err
		}
		if event.Type == Synced {
			return events, nil
		}
		events = append(events, event)
	}
}

// WaitReady waits until you can open a named network namespace, and returns its identity. A name with a '/' in it is a path;
// others are in DefaultDir. It waits for events and occupies no thread. The name, its directory and all directories on the
// way may be missing at first. On a filesystem that reports no changes, as /proc, it finds only what exists at the start.
//
// The error is that of the context, EINVAL if the name is empty, has ".." as a component or is the root directory; otherwise
// as for Open and Next.
func WaitReady(ctx context.Context, name string) (Netns, error) {
	found, err := NetnsForName(name)
	if !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENODEV) && !errors.Is(err, syscall.EPROTOTYPE) {
		return found, err
	}
	path := filepath.Join(DefaultDir, name)
	if strings.Contains(name, "/") {
		if path, err = filepath.Abs(name); err != nil {
			return Netns{}, wrap("wait for the network namespace", name, err)
		}
	}
	dir, last := filepath.Split(path)
	if last == "" {
		return Netns{}, invalid("wait for the network namespace", name, "the path does not end in a name")
	}
	watcher, err := Open(Dir(filepath.Clean(dir)))
	if err != nil {
		return Netns{}, err
	}
	defer watcher.Close()
	for {
		event, err := watcher.Next(ctx)
		if err != nil {
			return Netns{}, err
		}
		if event.Type == Ready && event.Name == last {
			return event.Netns, nil
		}
	}
}
