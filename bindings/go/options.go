package nswatch

import (
	"math"
	"strings"
	"syscall"
	"time"

	"github.com/nswatch/nswatch/bindings/go/internal/capi"
)

// An Option says what Open is to do differently. One that is not of the source is EINVAL, unless it has its
// default value; of two that contradict each other the later one counts.
type Option func(*config)

type config struct {
	source   uint32
	dir      string
	flags    uint32
	settle   time.Duration
	maxNames int
	rcvbuf   int
	queue    bool
	capacity int
	policy   QueuePolicy
}

// DefaultDir is where `ip netns` keeps its names.
const DefaultDir = "/run/netns"

// Named watches the names in a directory, as `ip netns` makes them. This is the default.
func Named() Option { return func(c *config) { c.source = capi.SourceNamed } }

// NSID watches the ids that the kernel assigns to peers of the network namespace that the calling goroutine's thread
// is in (see the note on threads at the top), and goes on about that namespace wherever the thread goes.
func NSID() Option { return func(c *config) { c.source = capi.SourceNSID } }

// All watches every network namespace of this host that can be seen, with or without a name: NetnsNew and NetnsDel. What it
// sees, and when, depends on privileges: see FeatureListNS, FeatureBirths and FeatureDeaths. A namespace that lives too
// briefly to be looked at may be left out.
func All() Option { return func(c *config) { c.source = capi.SourceAll } }

// Dir is the directory whose entries are the names, as an absolute path. It need not exist. Default: DefaultDir.
//
// Whoever may write to the directory decides what the watcher reports and how long its calls take: it looks at whatever a
// symbolic link there leads to, and reports the name as Ready if that is a network namespace, be it your own. For a
// directory that others may write to, pass NoSymlinks and MaxNames.
func Dir(path string) Option { return func(c *config) { c.dir = path } }

// NoReplay starts with now, not with what exists.
func NoReplay() Option { return flag(capi.NoReplay) }

// NoParent, for names: a missing directory is ENOENT at Open, and its removal ends the watch: a DirDeleted, then ENOENT
// from Next.
func NoParent() Option { return flag(capi.NoParent) }

// DirEvents, for names: tell when the directory itself comes and goes.
func DirEvents() Option { return flag(capi.DirEvents) }

// MountEvents, for names: report unmounts and re-binds of known names, and the end of a process that a name is a link to,
// as they happen, and not only at a Resync. This is the default where a change of a mount does not cost a look at every
// known name; with MountEvents it is so in any case.
func MountEvents() Option { return flag(capi.MountEvents) }

// NoMountEvents, for names: no mount events, even where they are the default. With MountEvents, Open fails with EINVAL.
func NoMountEvents() Option { return flag(capi.NoMountEvents) }

// NoSymlinks, for names, is for a directory that others may write to. A name that is a symbolic link is never followed: it
// is Created and never Ready. On the way to the directory only links that root owns are followed: another one is ELOOP from
// Open, and later the directory counts as gone until the link goes.
func NoSymlinks() Option { return flag(capi.NoSymlinks) }

// MaxNames, for names and for All, is the most names, or namespaces, that the watcher keeps; directories do not count. More
// are E2BIG from Open. Later Next returns E2BIG once each time that the limit is crossed; the watcher goes on with those that
// it knows, and reports those that it left out when others have gone. Default: 0, which is 1048576.
func MaxNames(n int) Option { return func(c *config) { c.maxNames = n } }

// AllNSID, for ids: tell what happens in peer namespaces too, those that have an id here. Needs CAP_NET_BROADCAST.
func AllNSID() Option { return flag(capi.AllNSID) }

// Prepare makes at Open all that could be needed later, for a program that gives up privileges or installs a seccomp filter
// after Open.
func Prepare() Option { return flag(capi.Prepare) }

func flag(bit uint32) Option { return func(c *config) { c.flags |= bit } }

// Settle, for names: for how long a name may change before the outcome is told, rounded up to milliseconds. A name
// that comes and goes within it is never told. Default: 0, every change is told at once.
func Settle(d time.Duration) Option { return func(c *config) { c.settle = d } }

// RcvBuf, for ids: the size of the socket's receive buffer in bytes. Default: 0, the library's choice.
func RcvBuf(bytes int) Option { return func(c *config) { c.rcvbuf = bytes } }

// A QueuePolicy is what a full queue does.
type QueuePolicy uint32

const (
	// QueueBlock lets the reader wait for room; meanwhile the kernel queues, and then overflows.
	QueueBlock QueuePolicy = capi.QueueBlock
	// QueueDropNewest keeps the events in the queue; then come an Overflow and what has changed since.
	QueueDropNewest QueuePolicy = capi.QueueDropNewest
	// QueueDropOldest drops the events in the queue, so that an Overflow and what is now come first.
	QueueDropOldest QueuePolicy = capi.QueueDropOldest
)

// Queue asks for a background thread that takes events from the kernel as they come, however rarely they are asked
// for, into a queue of 1 to 1048576 events. Few need it: the kernel has a queue as well.
func Queue(capacity int, policy QueuePolicy) Option {
	return func(c *config) { c.queue, c.capacity, c.policy = true, capacity, policy }
}

// open opens a watcher of C with these options.
func (c *config) open() (*capi.Watcher, error) {
	options := capi.OptionsNew()
	if options == nil {
		return nil, &Error{Op: "open", Errno: syscall.ENOMEM}
	}
	defer capi.OptionsFree(options)

	check := func(op, path string, rc int) error {
		return checkWith(op, path, rc, func() string { return capi.OptionsError(options) })
	}
	if err := check("set the flags", "", capi.OptionsSetFlags(options, c.flags)); err != nil {
		return nil, err
	}
	if strings.IndexByte(c.dir, 0) >= 0 {
		return nil, invalid("watch", c.dir, "the path must be absolute, without a NUL byte")
	}
	if err := check("watch", c.dir, capi.OptionsSetDir(options, c.dir)); err != nil {
		return nil, err
	}
	settle, why := milliseconds(c.settle)
	if why != "" {
		return nil, invalid("settle for "+c.settle.String(), "", why)
	}
	if err := check("settle", "", capi.OptionsSetSettle(options, settle)); err != nil {
		return nil, err
	}
	if !fitsUint32(c.maxNames) {
		return nil, invalid("limit the names", "", "the limit must be 0 to 4294967295")
	}
	if err := check("limit the names", "", capi.OptionsSetMaxNames(options, uint32(c.maxNames))); err != nil {
		return nil, err
	}
	if !fitsUint32(c.rcvbuf) {
		return nil, invalid("set the receive buffer", "", "the size must be 0 to 4294967295 bytes")
	}
	if err := check("set the receive buffer", "", capi.OptionsSetRcvbuf(options, uint32(c.rcvbuf))); err != nil {
		return nil, err
	}
	if c.queue {
		capacity := uint32(0) // what C has no number for is as wrong as 0
		if fitsUint32(c.capacity) {
			capacity = uint32(c.capacity)
		}
		rc := capi.OptionsSetQueue(options, capacity, uint32(c.policy))
		if err := check("make a queue", "", rc); err != nil {
			return nil, err
		}
	}

	var watcher *capi.Watcher
	rc := capi.Open(c.source, options, &watcher)
	return watcher, check("watch", c.path(), rc)
}

// path is what is watched, as far as it is a path.
func (c *config) path() string {
	if c.source == capi.SourceNamed {
		return c.dir
	}
	return ""
}

// milliseconds is a time for C, or why it cannot be one.
func milliseconds(d time.Duration) (ms uint32, why string) {
	if d < 0 {
		return 0, "the time must not be negative"
	}
	if d > math.MaxUint32*time.Millisecond {
		return 0, "the time must be less than 50 days"
	}
	return uint32((d + time.Millisecond - 1) / time.Millisecond), ""
}

func fitsUint32(number int) bool { return number >= 0 && int64(number) <= math.MaxUint32 }
