package nswatch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

// What README.md of the project shows, word for word: tests/examples/test_examples.py compares.
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
