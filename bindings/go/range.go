//go:build go1.23

package nswatch

import (
	"context"
	"iter"
)

// All gives the events to a range loop, and waits for each. The last pair has an error, which says why there are no more,
// as Next would: that of the context, ErrClosed, or an *Error. Events that the loop did not come to are given to the next
// call of Next, Events or All.
//
// It is there from Go 1.23 on. It needs no goroutine and no channel; Events is for select.
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
