package nswatch

import (
	"math"
	"strings"
	"syscall"
	"time"

	"github.com/nswatch/nswatch/bindings/go/internal/capi"
)

// An Option changes what Open does. An option that the source does not have fails with EINVAL, unless it has its default
// value. Of two contradicting options the later one counts.
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

// DefaultDir is the directory of `ip netns`.
const DefaultDir = "/run/netns"

// Named watches the names in a directory, as `ip netns` makes them. This is the default.
func Named() Option { return func(c *config) { c.source = capi.SourceNamed } }

// NSID watches the nsids that the kernel assigns to peers of the network namespace of the calling goroutine's thread (see the
// note on threads at the top). The watcher stays with that namespace wherever the thread goes.
func NSID() Option { return func(c *config) { c.source = capi.SourceNSID } }

// All watches every network namespace of this host that the library can see, with or without a name: NetnsNew and NetnsDel.
// What it reports, and when, depends on privileges: see FeatureListNS, FeatureBirths and FeatureDeaths. It may miss a
// namespace that exists very briefly.
func All() Option { return func(c *config) { c.source = capi.SourceAll } }

// Dir is the directory with the names, an absolute path. It may be missing. Default: DefaultDir.
//
// A user who may write to the directory controls what the watcher reports and how long its calls take. The watcher follows
// symbolic links there, and reports Ready for every one that leads to a network namespace, even to your own. For a directory
// that others may write to, pass NoSymlinks and MaxNames.
func Dir(path string) Option { return func(c *config) { c.dir = path } }

// NoReplay reports only changes from now on, without replayed events.
func NoReplay() Option { return flag(capi.NoReplay) }

// NoParent, for names: Open fails with ENOENT if the directory is missing. Its removal ends the watch: a DirDeleted, then
// ENOENT from Next.
func NoParent() Option { return flag(capi.NoParent) }

// DirEvents, for names: report when the directory itself appears and disappears.
func DirEvents() Option { return flag(capi.DirEvents) }

// MountEvents, for names: always report unmounts and re-binds of known names, and the end of a process that a name links to,
// as they happen and not only at a Resync. By default the watcher does so only where it need not probe every known name for
// each change of a mount.
func MountEvents() Option { return flag(capi.MountEvents) }

// NoMountEvents, for names: no mount events, even where they are the default. With MountEvents, Open fails with EINVAL.
func NoMountEvents() Option { return flag(capi.NoMountEvents) }

// NoSymlinks, for names: for a directory that others may write to. The watcher never follows a name that is a symbolic link:
// it is Created and never Ready. On the way to the directory the watcher follows only links that root owns. With another link
// there Open fails with ELOOP; later the directory counts as missing until the link is removed.
func NoSymlinks() Option { return flag(capi.NoSymlinks) }

// MaxNames, for names and for All: the maximum of names, or namespaces, that the watcher keeps, without directories. With
// more, Open fails with E2BIG. Later Next returns E2BIG once each time that the number crosses the limit. The watcher
// continues with those that it knows, and reports the others when there is room. Default: 0, which is 1048576.
func MaxNames(n int) Option { return func(c *config) { c.maxNames = n } }

// AllNSID, for nsids: report changes in peer namespaces too, those that have an nsid here. Requires CAP_NET_BROADCAST.
func AllNSID() Option { return flag(capi.AllNSID) }

// Prepare makes Open allocate all that the watcher could need later, for a program that then gives up privileges or installs
// a seccomp filter.
func Prepare() Option { return flag(capi.Prepare) }

func flag(bit uint32) Option { return func(c *config) { c.flags |= bit } }

// Settle, for names: debounce, rounded up to milliseconds: report the net change of a name this long after its first change.
// The watcher never reports a name that appears and disappears within that time. Default: 0, report every change at once.
func Settle(d time.Duration) Option { return func(c *config) { c.settle = d } }

// RcvBuf, for nsids: the size of the socket's receive buffer in bytes. Default: 0, the library's choice.
func RcvBuf(bytes int) Option { return func(c *config) { c.rcvbuf = bytes } }

// A QueuePolicy says what a full queue does.
type QueuePolicy uint32

const (
	// QueueBlock: the reader waits for room. Meanwhile the queue of the kernel fills, and may overflow.
	QueueBlock QueuePolicy = capi.QueueBlock
	// QueueDropNewest keeps the events in the queue. After them come an Overflow and the changes since.
	QueueDropNewest QueuePolicy = capi.QueueDropNewest
	// QueueDropOldest drops the events in the queue. An Overflow and the current state come first.
	QueueDropOldest QueuePolicy = capi.QueueDropOldest
)

// Queue starts a background thread that reads events from the kernel into a queue of 1 to 1048576 events, even if the program
// rarely calls Next. Few programs need it: the kernel has a queue as well.
func Queue(capacity int, policy QueuePolicy) Option {
	return func(c *config) { c.queue, c.capacity, c.policy = true, capacity, policy }
}

// open opens the watcher of C with these options.
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
		capacity := uint32(0) // a number that does not fit into C fails like 0
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

// path returns the watched directory, or "".
func (c *config) path() string {
	if c.source == capi.SourceNamed {
		return c.dir
	}
	return ""
}

// milliseconds converts a time for C, or returns why it cannot.
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
