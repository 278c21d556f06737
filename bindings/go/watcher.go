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

// A Watcher tells what happens to network namespaces. Its methods may be called from several goroutines at once. It
// uses file descriptors and memory of C's: Close it. One that is forgotten is closed by the garbage collector, like an
// os.File, whenever that comes to it.
type Watcher struct {
	dir string // whose entries are the names; empty for ids and for all namespaces

	// A second descriptor of the watcher's epoll instance, whose readiness Go's runtime waits for: a goroutine that
	// waits occupies no thread.
	poll *os.File
	conn syscall.RawConn

	// Who has the turn may wait and take events; the others wait for the turn.
	turn chan struct{}
	// An event that was taken and could not be handed over. Belongs to who has the turn.
	kept *Event

	closing chan struct{}
	close   sync.Once
	users   sync.WaitGroup // calls and goroutines that Close waits for

	mu     sync.Mutex    // guards what follows, and each call of C, none of which waits
	handle *capi.Watcher // nil: closed
}

// Open starts to watch: the names in DefaultDir, unless options say otherwise. What exists already is told first, as
// replayed events that end with Synced.
//
// The error is, among others, EACCES, ENOTDIR, ENOENT with NoParent, EPERM with AllNSID, EMFILE and ENOSPC for limits
// of inotify, E2BIG for more names or namespaces than MaxNames, EOPNOTSUPP without /proc, EINVAL for a value that means
// nothing and for an option that is not one of the source; its text says which.
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
	// whoever waits or calls C holds on to it, so nobody does by then
	runtime.SetFinalizer(w, (*Watcher).Close)
	return w, nil
}

// listen lets Go's runtime listen to the watcher. An os.File closes its descriptor, and the watcher's own is only
// borrowed.
func (w *Watcher) listen() error {
	fd, err := duplicate(capi.FD(w.handle))
	if err != nil {
		return err
	}
	w.poll = os.NewFile(fd, "nswatch")
	// it is an error if the runtime cannot listen to it
	err = w.poll.SetReadDeadline(time.Time{})
	if err == nil {
		w.conn, err = w.poll.SyscallConn()
	}
	if err != nil {
		w.poll.Close()
	}
	return err
}

// Close ends the watch. Calls of Next that are waiting, and channels of Events, end with ErrClosed, and Close returns
// when they have. Closing twice is fine. It never fails; the error makes it an io.Closer.
func (w *Watcher) Close() error {
	w.close.Do(func() {
		runtime.SetFinalizer(w, nil)
		close(w.closing)
		// the handle changes nowhere else, and who has mu may wait for what this ends
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

// Next waits for the next event. The error is that of the context, ErrClosed, or an *Error: one of EMFILE, ENFILE,
// ENOMEM, ENOSPC, ENOBUFS, EAGAIN is about a limit, and another call goes on where this one stopped; with NoParent, ENOENT
// says that the directory is gone. An event that a cancelled call had already taken is given to the next one.
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

// Events gives the events out by a channel until the context or the watcher ends, or an error comes: then the channel
// is closed, and the function tells why, as Next would. While the channel is open it answers nil.
//
// A goroutine serves the channel. It ends with the context and with Close, and waits for neither the receiver nor the
// kernel then; an event that was not received is given to the next call of Next or Events.
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

// send sends one event. It keeps its turn until that is received, so that nobody else gets a later one before.
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
	// of several cases that are ready, select takes any: an ended context counts first
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

// next is for who has the turn.
func (w *Watcher) next(ctx context.Context) (event Event, err error) {
	if w.kept != nil {
		event, w.kept = *w.kept, nil
		return event, nil
	}
	// most often there is no need to wait
	if event, ok, err := w.take(); ok || err != nil {
		return event, err
	}
	stop := w.interruptWith(ctx)
	ok := false
	// Go's poller tells edges only. Read tries before it waits and again after each edge, and nothing is left behind:
	// it waits only after C has said that there is nothing now, and whatever comes later is a new edge.
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

// interruptWith makes the end of the context end a wait. The function that it gives back undoes that.
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

// take asks C for an event. It never waits.
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

// check makes an error of a result of C on the watcher. It is for who has mu.
func (w *Watcher) check(op string, rc int) error {
	if rc >= 0 {
		return nil
	}
	select {
	case <-w.closing:
		return ErrClosed // Close has interrupted it
	default:
	}
	return checkWith(op, w.dir, rc, func() string { return capi.Error(w.handle) })
}

// copied copies what C lends. Each call of C has its price: only an event that has a namespace is asked for it.
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

// Resync compares what has been told with what the kernel has now. The differences follow as replayed events, then
// Synced.
func (w *Watcher) Resync() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.handle == nil {
		return ErrClosed
	}
	return w.check("compare", capi.Resync(w.handle))
}

// Stats is what a Watcher has counted since it was opened, and what it holds now.
type Stats struct {
	Delivered uint64 // events handed out
	Dropped   uint64 // events known to be lost, as far as the loss could be counted
	Overflows uint64 // Overflow events
	Resyncs   uint64 // completed comparisons with the kernel, the replay at Open among them
	Queued    uint64 // events that wait to be handed out
	QueuedMax uint64 // the most that ever waited
	Pending   uint64 // names that exist and do not refer to a network namespace
	Known     uint64 // names, ids, or namespaces, that exist
}

// Stats tells the counters; they are zero after Close.
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
