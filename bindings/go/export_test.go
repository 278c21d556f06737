package nswatch

import (
	"fmt"

	"github.com/nswatch/nswatch/bindings/go/internal/capi"
)

// NextWithoutID takes the next event as a kernel before Linux 6.18 would have it told. Between C's telling and our
// looking it calls a function.
func NextWithoutID(w *Watcher, between func()) (Event, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var borrowed *capi.Event
	if rc := capi.NextEvent(w.handle, &borrowed); rc != 1 {
		return Event{}, fmt.Errorf("no event: %d", rc)
	}
	next := event(borrowed)
	next.Cookie = 0
	between()
	w.place(&next, borrowed)
	return next, nil
}

// Stamp is what tells the namespace of such an event from a later one.
func Stamp(e Event) int64 { return e.stamp }
