// Watches /run/netns by fsnotify, as its documentation says, and prints a line for each event.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

func report(what, name string) {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	fmt.Println(now.Nano(), what, name)
}

func watch() error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	if err := watcher.Add("/run/netns"); err != nil {
		return err
	}
	entries, err := os.ReadDir("/run/netns")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		report("created", entry.Name())
	}
	report("synced", "")
	for {
		select {
		case event, ok := <-watcher.Events:
			switch {
			case !ok:
				return nil
			case event.Has(fsnotify.Create):
				report("created", filepath.Base(event.Name))
			case event.Has(fsnotify.Remove):
				report("deleted", filepath.Base(event.Name))
			}
		case err := <-watcher.Errors:
			report("error", err.Error())
		}
	}
}

func main() {
	if err := watch(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
