package nswatch

import (
	"context"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/nswatch/nswatch/bindings/go/internal/capi"
)

// A Watcher reports the events of network namespaces. Several goroutines may call its methods at once. It uses file
// descriptors and memory of C: Close it. The garbage collector closes a forgotten one sooner or later, like an os.File.
type Watcher struct {
	dir string // the watched directory; empty for nsids and for all namespaces

	// A second descriptor of the watcher's epoll instance, for Go's poller: a goroutine that waits occupies no thread.
	poll *os.File
	conn syscall.RawConn

	// The goroutine that has the turn waits and takes events; the others wait for the turn.
	turn chan struct{}
	// An event that was taken and not returned. Belongs to the goroutine that has the turn.
	kept *Event

	closing chan struct{}
	close   sync.Once
	users   sync.WaitGroup // calls and goroutines that Close waits for

	mu     sync.Mutex    // guards what follows, and each call of C, none of which waits
	handle *capi.Watcher // nil: closed
}

// Open opens a watcher: of the names in DefaultDir, unless options change that. The watcher emits replayed events for what
// exists, then Synced.
//
// The error is, among others, EACCES, ENOTDIR, ENOENT with NoParent, EPERM with AllNSID, EMFILE and ENOSPC for limits
// of inotify, E2BIG for more names or namespaces than MaxNames, EOPNOTSUPP without /proc, EINVAL for a value out of range and
// for an option that the source does not have; its text names the option.
func Open(options ...Option) (*Watcher, error) {
	c := config{source: capi.SourceNamed, dir: DefaultDir}
	for _, option := range options {
		option(&c)
	}
	handle, err := c.open()
	if err != nil {
		return nil, err
	}
	w := &Watcher{dir: c.path(), turn: make(chan struct{}, 1), closing: make(chan struct{}), handle: handle}
	if err := w.listen(); err != nil {
		capi.Close(handle)
		return nil, wrap("wait for events", "", err)
	}
	// a call holds a reference, so none runs by then
	runtime.SetFinalizer(w, (*Watcher).Close)
	return w, nil
}

// listen registers the watcher with Go's poller. It needs a copy of the descriptor: an os.File closes its own, and the
// watcher's is borrowed.
func (w *Watcher) listen() error {
	fd, err := duplicate(capi.FD(w.handle))
	if err != nil {
		return err
	}
	w.poll = os.NewFile(fd, "nswatch")
	// fails if Go's poller cannot use the descriptor
	err = w.poll.SetReadDeadline(time.Time{})
	if err == nil {
		w.conn, err = w.poll.SyscallConn()
	}
	if err != nil {
		w.poll.Close()
	}
	return err
}

// Close closes the watcher. Waiting calls of Next, and channels of Events, end with ErrClosed; Close returns after them. A
// second call does nothing. It never fails; the error makes it an io.Closer.
func (w *Watcher) Close() error {
	w.close.Do(func() {
		runtime.SetFinalizer(w, nil)
		close(w.closing)
		// without mu: its holder may be in a call that this interrupts; the handle changes only here
		capi.Interrupt(w.handle)
		w.mu.Lock()
		capi.Close(w.handle)
		w.handle = nil
		w.mu.Unlock()
		w.poll.Close()
		w.users.Wait()
	})
	return nil
}

// use makes Close wait until w.users.Done.
func (w *Watcher) use() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.handle == nil {
		return ErrClosed
	}
	w.users.Add(1)
	return nil
}

// Next waits for the next event. The error is that of the context, ErrClosed, or an *Error. EMFILE, ENFILE, ENOMEM, ENOSPC,
// ENOBUFS, EAGAIN: a limit is reached, and the next call continues where this one stopped. ENOENT, with NoParent: the
// directory is gone. If a cancelled call had already taken an event, the next call returns it.
func (w *Watcher) Next(ctx context.Context) (Event, error) {
	if err := w.use(); err != nil {
		return Event{}, err
	}
	defer w.users.Done()
	if err := w.takeTurn(ctx); err != nil {
		return Event{}, err
	}
	defer w.endTurn()
	return w.next(ctx)
}

// Events returns a channel of events and a function. The channel is closed when the context ends, the watcher is closed, or
// an error occurs. The function then returns the error that Next would return; while the channel is open it returns nil.
//
// A goroutine serves the channel. It ends with the context and with Close, without waiting for the receiver or the kernel.
// The next call of Next or Events returns an event that nobody received.
func (w *Watcher) Events(ctx context.Context) (<-chan Event, func() error) {
	events, ended := make(chan Event), make(chan struct{})
	var failure error
	end := func(err error) {
		failure = err
		close(ended)
		close(events)
	}
	reason := func() error {
		select {
		case <-ended:
			return failure
		default:
			return nil
		}
	}
	if err := w.use(); err != nil {
		end(err)
		return events, reason
	}
	go func() {
		defer w.users.Done()
		for {
			if err := w.send(ctx, events); err != nil {
				end(err)
				return
			}
		}
	}()
	return events, reason
}

// send sends one event. It keeps the turn until the event is received, so that no later event overtakes it.
func (w *Watcher) send(ctx context.Context, events chan<- Event) error {
	if err := w.takeTurn(ctx); err != nil {
		return err
	}
	defer w.endTurn()
	event, err := w.next(ctx)
	if err != nil {
		return err
	}
	select {
	case events <- event:
		return nil
	case <-ctx.Done():
		w.kept = &event
		return ctx.Err()
	case <-w.closing:
		return ErrClosed
	}
}

func (w *Watcher) takeTurn(ctx context.Context) error {
	// select picks any ready case: check the context first
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case w.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.closing:
		return ErrClosed
	}
}

func (w *Watcher) endTurn() { <-w.turn }

// next requires the turn.
func (w *Watcher) next(ctx context.Context) (event Event, err error) {
	if w.kept != nil {
		event, w.kept = *w.kept, nil
		return event, nil
	}
	// usually an event is available
	if event, ok, err := w.take(); ok || err != nil {
		return event, err
	}
	stop := w.interruptWith(ctx)
	ok := false
	// Go's poller is edge-triggered. Read tries before it waits and again after each edge. No event is left behind: it
	// waits only after C had none, and a later event is a new edge.
	waited := w.conn.Read(func(uintptr) bool {
		event, ok, err = w.take()
		return ok || err != nil
	})
	stop()
	if ok || err != nil {
		return event, err
	}
	select {
	case <-w.closing:
		return Event{}, ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return Event{}, err
	}
	return Event{}, wrap("wait for events", "", waited)
}

// interruptWith makes the end of the context end a wait, until the returned function is called.
func (w *Watcher) interruptWith(ctx context.Context) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	stopped, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
			w.poll.SetReadDeadline(time.Unix(1, 0))
		case <-stopped:
		}
	}()
	return func() {
		close(stopped)
		<-done
		w.poll.SetReadDeadline(time.Time{})
	}
}

// take takes an event from C, without waiting.
func (w *Watcher) take() (Event, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.handle == nil {
		return Event{}, false, ErrClosed
	}
	var borrowed *capi.Event
	rc := capi.NextEvent(w.handle, &borrowed)
	if rc <= 0 {
		return Event{}, false, w.check("watch", rc)
	}
	return copied(borrowed), true, nil
}

// check converts a result of C on the watcher to an error. It requires mu.
func (w *Watcher) check(op string, rc int) error {
	if rc >= 0 {
		return nil
	}
	select {
	case <-w.closing:
		return ErrClosed // Close interrupted the call
	default:
	}
	return checkWith(op, w.dir, rc, func() string { return capi.Error(w.handle) })
}

// copied copies a borrowed event. A call of C is expensive, so it reads the namespace only where there is one.
func copied(e *capi.Event) Event {
	// the path ends in the name: one string for both
	path := capi.EventPath(e)
	event := Event{
		Type:      EventType(capi.EventType(e)),
		Replayed:  capi.EventFlags(e)&capi.EventReplayed != 0,
		Name:      path[len(path)-capi.EventNameLen(e):],
		Path:      path,
		NSID:      capi.EventNSID(e),
		Origin:    capi.EventOrigin(e),
		PortID:    capi.EventPortID(e),
		Dropped:   capi.EventDropped(e),
		PID:       capi.EventPID(e),
		Monotonic: time.Duration(capi.EventTimeNS(e)),
	}
	if event.Type == Ready || event.Type == NetnsNew || event.Type == NetnsDel {
		var netns capi.Netns
		capi.EventNetns(e, &netns)
		event.Netns = Netns(netns)
	}
	return event
}

// Resync compares the reported state with the kernel's. The watcher emits the differences as replayed events, then Synced.
func (w *Watcher) Resync() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.handle == nil {
		return ErrClosed
	}
	return w.check("compare", capi.Resync(w.handle))
}

// Stats are the counters of a Watcher since it was opened, and what it holds now.
type Stats struct {
	Delivered uint64 // events returned
	Dropped   uint64 // lost events, as far as they could be counted
	Overflows uint64 // Overflow events
	Resyncs   uint64 // completed comparisons with the kernel, including the replay at Open
	Queued    uint64 // events that wait to be returned
	QueuedMax uint64 // the maximum of Queued
	Pending   uint64 // pending names: they exist and do not refer to a network namespace
	Known     uint64 // names, nsids or namespaces that exist
}

// Stats returns the counters; they are zero after Close.
func (w *Watcher) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Stats{
		Delivered: capi.Stat(w.handle, capi.StatDelivered),
		Dropped:   capi.Stat(w.handle, capi.StatDropped),
		Overflows: capi.Stat(w.handle, capi.StatOverflows),
		Resyncs:   capi.Stat(w.handle, capi.StatResyncs),
		Queued:    capi.Stat(w.handle, capi.StatQueued),
		QueuedMax: capi.Stat(w.handle, capi.StatQueuedMax),
		Pending:   capi.Stat(w.handle, capi.StatPending),
		Known:     capi.Stat(w.handle, capi.StatKnown),
	}
}
