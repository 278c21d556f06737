//go:build linux

package nswatch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

// The code of README.md of the project; tests/examples/test_examples.py compares them.
func untilDone(ctx context.Context) error {
	watcher, err := nswatch.Open()
	if err != nil {
		return err
	}
	events, reason := watcher.Events(ctx)
	for event := range events {
		fmt.Println(event)
	}
	return reason()
}

func TestReadme(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := untilDone(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// The identity code of README.md of the binding is part of an example, which runs.
func TestReadmeOfTheBinding(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "## Which namespace is it\n")
	_, code, _ := strings.Cut(section, "```go\n")
	code, _, ok := strings.Cut(code, "```")
	indented := regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(code, "\t$1")
	if !ok || !strings.Contains(string(examples), indented) {
		t.Errorf("no example is this:\n%s", code)
	}
}
