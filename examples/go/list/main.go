// List prints the names in a directory and the network namespaces that they refer to: list [DIR]
package main

import (
	"context"
	"fmt"
	"os"
	"sort"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

// none marks a name without a network namespace.
var none nswatch.Netns

func main() {
	names, err := list(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "list:", err)
		os.Exit(1)
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	for _, name := range sorted {
		if netns := names[name]; netns != none {
			fmt.Println(nswatch.Printable(name), netns)
		} else {
			fmt.Println(nswatch.Printable(name), "-")
		}
	}
}

// list applies the replayed events until Synced. A program that keeps watching does the same.
func list(arguments []string) (map[string]nswatch.Netns, error) {
	var options []nswatch.Option
	if len(arguments) > 0 {
		options = append(options, nswatch.Dir(arguments[0]))
	}
	watcher, err := nswatch.Open(options...)
	if err != nil {
		return nil, err
	}
	defer watcher.Close()

	names := map[string]nswatch.Netns{}
	for {
		event, err := watcher.Next(context.Background())
		if err != nil {
			return nil, err
		}
		switch event.Type {
		case nswatch.Created, nswatch.Detached:
			names[event.Name] = none
		case nswatch.Ready:
			names[event.Name] = event.Netns
		case nswatch.Deleted:
			delete(names, event.Name)
		case nswatch.Synced:
			return names, nil
		}
	}
}
