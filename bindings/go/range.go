//go:build go1.23

package nswatch

import (
	"context"
	"iter"
)

// All yields the events to a range loop, and waits for each. The last pair has the error that Next would return: that of the
// context, ErrClosed, or an *Error. The next call of Next, Events or All returns the events that the loop did not reach.
//
// Available from Go 1.23 on. It needs no goroutine and no channel; use Events for select.
func (w *Watcher) All(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			event, err := w.Next(ctx)
			if !yield(event, err) || err != nil {
				return
			}
		}
	}
}
