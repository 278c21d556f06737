/*
 * nswatch.h - watch Linux network namespaces come, become usable and go
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Generated from src/capi by `make header`; edit there.
 *
 * This is the whole of using it:
 *
 *     #include <nswatch.h>
 *     #include <stdio.h>
 *
 *     int main(void)
 *     {
 *         nsw_watcher *watcher;
 *         const nsw_event *event;
 *         int rc = nsw_open(NSW_SOURCE_NAMED, NULL, &watcher);
 *
 *         if (rc == 0) {
 *             while ((rc = nsw_wait_event(watcher, -1, &event)) > 0) {
 *                 const char *name = nsw_event_name(event);
 *                 printf("%s %s\n", nsw_event_type_name(nsw_event_type(event)), name ? name : "");
 *             }
 *             nsw_close(watcher);
 *         }
 *         fprintf(stderr, "%s\n", nsw_strerror(rc));
 *         return 1;
 *     }
 *
 * In a program that has an event loop, poll nsw_fd() for POLLIN and call nsw_next_event() until it returns 0.
 *
 * Conventions
 * ===========
 *
 * - Functions of type int return 0, a count or a flag on success, and a negative errno on failure. What they store
 *   through pointers they store on success only.
 * - 1: here is an event; 0: nothing now; negative: an error. The same wherever events are given out.
 * - Every pointer argument may be NULL: that is -EINVAL, or nothing happens in nsw_close() and nsw_options_free().
 * - Of a failure nsw_strerror() tells what its errno means; nsw_options_error() and nsw_error() say what failed, on what,
 *   and why, of the last call that failed with these options or on this watcher.
 * - Strings given out end in NUL and are owned by what gave them. Nothing but handles is ever freed by the caller.
 * - A watcher may move between threads, and one thread at a time calls it. While a call runs, a call of another thread on
 *   that watcher returns -EBUSY and changes nothing. nsw_stat() and nsw_fd() may be called from any thread at any time.
 *   Different watchers are independent.
 * - A call that a signal handler leaves by longjmp(3) never ends: all that follow return -EBUSY, and the thread cannot be
 *   cancelled any more until it calls pthread_setcancelstate(3). Close the watcher.
 * - In a child of fork(2), calls on a watcher of the parent return -ECHILD and change nothing. nsw_close() frees the
 *   child's memory and descriptors, and leaves the watcher of the parent alone.
 * - pthread_cancel(3) of a thread in a call acts after the call, with deferred cancelability, the default. To cancel a
 *   thread that waits, have it wait by poll(2) on nsw_fd().
 * - A call that has to look at paths returns -EXDEV if the calling thread has another root directory or mount namespace than
 *   the one that opened the watcher; nothing is lost, and the next call from the right place goes on.
 * - An internal error never leaves the library: the call returns -ENOTRECOVERABLE, and so does every later call that
 *   asks that watcher for something to be done.
 * - All file descriptors that the library keeps or returns are 3 or above, and close-on-exec. Do not close those of the
 *   library (closefrom(3), close_range(2)): calls would return -EBADF, or read, write and close what gets the number next.
 * - The library starts no thread, installs no signal handler and prints nothing, unless asked for. (The message of an
 *   internal error goes to standard error.) Its only global state is the number by which it recognizes a child of fork(2).
 * - If the library's own allocation fails, the process aborts. What it allocates grows with the names in the directory
 *   (up to 500 bytes each, as many as nsw_options_set_max_names() permits), with the namespaces (as many as that too), the
 *   ids (100 bytes each) and the capacity of a queue.
 *
 * The grammar of events
 * =====================
 *
 * For every sequence of events that a watcher ever gives out, whatever happened underneath:
 *
 * - per name: ( CREATED ( READY DETACHED? )* DELETED )*; a READY right after a READY of the same name means that
 *   another namespace took its place;
 * - DIR_DELETED comes only after DELETED for every known name;
 * - per id, and namespace that it is relative to: ( NSID_NEW NSID_DEL )*;
 * - per namespace: ( NETNS_NEW NETNS_DEL )? where it has a cookie, ( NETNS_NEW NETNS_DEL )* before Linux 6.18;
 * - OVERFLOW is followed by SYNCED;
 * - after SYNCED, what the consumer believes by adding up the events equals what the kernel has, if nothing changes
 *   any more. One exception: of ids the kernel may not list all. Then an OVERFLOW with nsw_event_dropped() 0 comes
 *   before the SYNCED, and ids may be missing, but none is wrong.
 */

#ifndef NSWATCH_H
#define NSWATCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A watcher. Opaque, owned by the caller: nsw_close(). */
typedef struct nsw_watcher nsw_watcher;

/** What to do differently. Opaque, owned by the caller: nsw_options_free(). */
typedef struct nsw_options nsw_options;

/** An event. Opaque, borrowed from its watcher until it is asked for the next one, or closed. */
typedef struct nsw_event nsw_event;

/*
 * Watching
 * ========
 *
 * A watcher is opened by nsw_open() and owned by the caller, who gives it back to nsw_close(). It may move between
 * threads, and one at a time calls it. The event that nsw_next_event() or nsw_wait_event() gives out is borrowed from
 * it, until the next call of one of the two, or of nsw_close(), on the same watcher.
 */

/**
 * Names in a directory, as `ip netns` makes them (inotify). Since: 0.1
 */
#define NSW_SOURCE_NAMED 1

/**
 * Ids that the kernel assigns to peers of the network namespace that the calling thread is in (rtnetlink). The watcher
 * goes on about that namespace wherever the thread goes, and keeps it alive until it is closed. Since: 0.1
 */
#define NSW_SOURCE_NSID 2

/**
 * Every network namespace of this host that can be seen, with or without a name: NSW_EVENT_NETNS_NEW and
 * NSW_EVENT_NETNS_DEL. A namespace that cannot be opened is not identified, and not reported; nor may one be that lives too
 * briefly to be looked at. The observation post of a watcher (NSW_FEATURE_DEATHS) is a namespace as any other: all watchers
 * but its own report it. Since: 0.1
 */
#define NSW_SOURCE_ALL 3

/**
 * nsw_stat(): events handed out. Since: 0.1
 */
#define NSW_STAT_DELIVERED 1

/**
 * nsw_stat(): events known to be lost, as far as the loss could be counted. Since: 0.1
 */
#define NSW_STAT_DROPPED 2

/**
 * nsw_stat(): NSW_EVENT_OVERFLOW events. Since: 0.1
 */
#define NSW_STAT_OVERFLOWS 3

/**
 * nsw_stat(): completed comparisons with the kernel, the replay at open among them. Since: 0.1
 */
#define NSW_STAT_RESYNCS 4

/**
 * nsw_stat(): events that wait to be handed out. Since: 0.1
 */
#define NSW_STAT_QUEUED 5

/**
 * nsw_stat(): the most events that ever waited. Since: 0.1
 */
#define NSW_STAT_QUEUED_MAX 6

/**
 * nsw_stat(): names that exist and do not refer to a network namespace; 0 but for NSW_SOURCE_NAMED. Since: 0.1
 */
#define NSW_STAT_PENDING 7

/**
 * nsw_stat(): names, ids, or namespaces, that exist. Since: 0.1
 */
#define NSW_STAT_KNOWN 8

/**
 * Opens a watcher. What exists already is told first, as replayed events that end with NSW_EVENT_SYNCED, unless
 * NSW_NO_REPLAY is set.
 *
 * @source: NSW_SOURCE_NAMED, NSW_SOURCE_NSID or NSW_SOURCE_ALL.
 * @options: what to do differently, or NULL. Not needed any more when the call returns, but for nsw_options_error(), which
 * then has the sentence of a failure.
 * @watcher: where the new watcher is stored.
 *
 * Returns 0, or
 * -EINVAL: @watcher is NULL, or @source is none of those above;
 * -ENOTDIR: a part of the path is not a directory;
 * -EACCES: the directory may not be read or searched by this process;
 * -ENOENT: the directory is missing, and NSW_NO_PARENT was set;
 * -ELOOP: too many symbolic links on the way, or with NSW_NO_SYMLINKS one that root does not own;
 * -ENAMETOOLONG: as open(2);
 * -E2BIG: the directory has more names, or NSW_SOURCE_ALL finds more namespaces, than nsw_options_set_max_names() permits;
 * -EMFILE, -ENFILE: the limit of inotify instances, or of open files, is reached;
 * -ENOSPC: the limit of inotify watches is reached; for NSW_SOURCE_ALL, which makes a network namespace of its own, that of
 * network namespaces;
 * -EPERM: NSW_SOURCE_NSID with NSW_ALL_NSID, and CAP_NET_BROADCAST is missing;
 * -EPERM, -ENOSYS, -EACCES: a seccomp filter or a security policy refuses a system call that has no fallback;
 * -EAGAIN: NSW_SOURCE_NSID, and the kernel was interrupted time and again; or RLIMIT_NPROC prevents starting the reader
 * thread of nsw_options_set_queue(), or that of NSW_SOURCE_ALL, which ends before this call returns;
 * -EOPNOTSUPP: /proc is not mounted, or not that of this process;
 * -ENOMEM, -ENOBUFS: the kernel is out of memory, or has no room for an answer (net.core.rmem_default). (If the library's
 * own allocation fails, the process aborts.)
 *
 * NSW_SOURCE_NAMED uses one inotify instance and four file descriptors, up to three more once a name has waited for its
 * mount. NSW_SOURCE_NSID uses four file descriptors, with NSW_ALL_NSID five, and needs Linux 5.0. NSW_SOURCE_ALL uses up to
 * 16, with NSW_PREPARE up to 22, and one per processor. nsw_options_set_queue() takes four more. Paths are resolved in the
 * mount namespace of the calling thread.
 *
 * Since: 0.1 (Linux 5.10; see inotify(7), fanotify(7), rtnetlink(7))
 */
int nsw_open(uint32_t source,
             nsw_options *options,
             nsw_watcher **watcher);

/**
 * Closes a watcher and frees all that belongs to it, the event borrowed from it included. NULL does nothing. No other
 * thread may be in a call on the watcher, and none may call it afterwards.
 *
 * Waits for the reader thread of nsw_options_set_queue() to end. If that hangs (in a filesystem that does not answer) and
 * takes no processor time for two seconds, the call returns, and the thread frees its part, with descriptors, when it
 * goes on.
 *
 * In a child of fork(2) it frees the child's copies and leaves the watcher of the parent alone. What a thread of the
 * parent was at work on at the moment of the fork stays until the child ends or executes a program, as do some hundred
 * bytes and the stack of a reader thread. If nsw_close() finds that a call of another thread has not ended, or that
 * longjmp(3) left one that did not wait, it frees nothing.
 *
 * Since: 0.1
 */
void nsw_close(nsw_watcher *watcher);

/**
 * The file descriptor to poll for POLLIN. It is level-triggered: readable while there is an event to be had, however
 * often and by whatever means it is polled. (One exception: where both fanotify mount events and AIO are refused, a
 * wake-up for a mount is seen by one poll only; ask for events after each.) Close-on-exec, non-blocking, the same for
 * the life of the watcher. May be called from any thread at any time.
 *
 * Returns the descriptor, which stays the watcher's: do not read or close it; or -EINVAL: @watcher is NULL.
 *
 * Since: 0.1
 */
int nsw_fd(const nsw_watcher *watcher);

/**
 * Gives out the next event. Never waits for one. (A name that is a symbolic link into a filesystem that hangs makes
 * the look at it hang: set NSW_NO_SYMLINKS for a directory that others may write to.)
 *
 * @event: where a pointer to the event is stored; it is borrowed until the next call of this function,
 * nsw_wait_event() or nsw_close() on the same watcher.
 *
 * Returns 1: here is an event; 0: nothing now, @event is untouched; or
 * -EINVAL: an argument is NULL;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOSPC: a limit kept the watcher from looking. Nothing is lost: the descriptor stays
 * readable, and the next call goes on where this one stopped;
 * -ENOBUFS, -EAGAIN: NSW_SOURCE_NSID or NSW_SOURCE_ALL, and the kernel had no memory or room for an answer, or was
 * interrupted time and again. Nothing is lost, as above. (Notifications for which there was no room are no error:
 * NSW_EVENT_OVERFLOW.)
 * -EPERM, -ENOSYS, -EACCES: a seccomp filter, a security policy or a lost privilege refuses a system call that has no
 * fallback; -EACCES also: the process has given up the right to reach the directory. Nothing is lost, as above;
 * -EXDEV: the call has to look at paths, and the calling thread has another root directory or mount namespace than the one
 * that called nsw_open() (chroot, pivot_root, unshare, setns). Nothing is lost here either: call again from the right
 * place, or close the watcher;
 * -E2BIG: there are more names, or namespaces, than nsw_options_set_max_names() permits. One call returns it each time that
 * the limit is crossed, after the events of those that there is room for. The watcher goes on; see there;
 * -ENOENT: the directory is gone, and NSW_NO_PARENT was set: no event will come any more;
 * -EBUSY: another thread is in a call on this watcher, or longjmp(3) left one;
 * -ECHILD: the process is a child of the one that opened the watcher;
 * -EBADF: the program has closed a descriptor of the library;
 * -ENOTRECOVERABLE: an internal error; the watcher is of no more use.
 *
 * One call does at most the work of one full kernel queue and of one comparison of all names.
 *
 * Since: 0.1
 */
int nsw_next_event(nsw_watcher *watcher,
                   const nsw_event **event);

/**
 * Waits for the next event and gives it out.
 *
 * @timeout_ms: how long to wait, in milliseconds; 0: not at all; negative: for ever.
 * @event: as for nsw_next_event().
 *
 * Returns 1: here is an event; 0: the time is over, @event is untouched; or
 * -EINTR: a signal handler ran;
 * and all that nsw_next_event() returns.
 *
 * Since: 0.1
 */
int nsw_wait_event(nsw_watcher *watcher, int timeout_ms, const nsw_event **event);

/**
 * Compares what has been told with what the kernel has now. The differences follow as replayed events, then
 * NSW_EVENT_SYNCED. Costs one look at every name; for NSW_SOURCE_ALL, one at every process. A borrowed event stays valid.
 *
 * Returns 0, or as nsw_next_event(): after an error the comparison is still due, and is made by the next call of
 * nsw_next_event() that can.
 *
 * Since: 0.1
 */
int nsw_resync(nsw_watcher *watcher);

/**
 * Opens the very namespace that an NSW_EVENT_READY or an NSW_EVENT_NETNS_NEW announced, for setns(2) and its like. The way
 * is the path of the event; for NSW_EVENT_NETNS_NEW, where that fails, the cookie (Linux 6.18, CAP_SYS_ADMIN).
 *
 * @event: an event of this watcher, still borrowed.
 *
 * Returns a file descriptor, close-on-exec, owned by the caller, who closes it with close(2); or
 * -EINVAL: an argument is NULL, or the event is of another type;
 * -ENOENT: what was at the path is gone, or is no network namespace any more;
 * -ESTALE: the path leads to another namespace by now;
 * -EOPNOTSUPP: an NSW_EVENT_NETNS_NEW without a path, before Linux 6.18;
 * -EXDEV: the calling thread has another root directory or mount namespace than the one that called nsw_open();
 * -EACCES, -EMFILE, -ENFILE, -ENOMEM: as open(2);
 * -EPERM, -ENOSYS: a seccomp filter or a security policy refuses a system call; -EPERM also: the cookie is the only way,
 * and CAP_SYS_ADMIN is missing;
 * -EBUSY, -ECHILD, -ENOTRECOVERABLE: as nsw_next_event().
 *
 * Since: 0.1
 */
int nsw_open_netns(const nsw_watcher *watcher,
                   const nsw_event *event);

/**
 * What the last call on this watcher that failed could not do, on what, why, and what can be done about it, in a
 * sentence: "cannot watch /run/netns: permission denied: ...". -EBUSY and -ECHILD leave it as it is; nsw_options_error() has
 * the sentence of nsw_open().
 *
 * Returns the sentence, which belongs to the watcher and stays as it is until another call on it fails, or nsw_close(); ""
 * if none has failed, @watcher is NULL, or another thread is in a call. Never NULL.
 *
 * Since: 0.1
 */
const char *nsw_error(const nsw_watcher *watcher);

/**
 * One of the numbers NSW_STAT_*, of this watcher since it was opened. May be called from any thread at any time.
 *
 * Returns the number; 0 if @watcher is NULL or @which is none of them.
 *
 * Since: 0.1
 */
uint64_t nsw_stat(const nsw_watcher *watcher,
                  uint32_t which);

/*
 * Events
 * ======
 *
 * An event is borrowed from its watcher, and so is every string that it gives out: both are valid until the next
 * nsw_next_event(), nsw_wait_event() or nsw_close() on that watcher. Its accessors take NULL, never fail, and answer
 * with the stated value where the event has no such part. They may be called from several threads at once.
 */

/**
 * A name appeared; it may not be a namespace yet. Since: 0.1
 */
#define NSW_EVENT_CREATED 1

/**
 * The name now refers to a network namespace that can be opened; after another NSW_EVENT_READY of the same name:
 * it was replaced by another namespace. Since: 0.1
 */
#define NSW_EVENT_READY 2

/**
 * The name is still there but no longer refers to a network namespace. Since: 0.1
 */
#define NSW_EVENT_DETACHED 3

/**
 * The name is gone. Since: 0.1
 */
#define NSW_EVENT_DELETED 4

/**
 * The watched directory came. Since: 0.1
 */
#define NSW_EVENT_DIR_CREATED 5

/**
 * The watched directory went; each name in it has been told as deleted before. Since: 0.1
 */
#define NSW_EVENT_DIR_DELETED 6

/**
 * An id was assigned to a peer namespace. Since: 0.1
 */
#define NSW_EVENT_NSID_NEW 7

/**
 * The namespace that had the id died. Since: 0.1
 */
#define NSW_EVENT_NSID_DEL 8

/**
 * What was replayed at open, or by a resync, is complete. Since: 0.1
 */
#define NSW_EVENT_SYNCED 9

/**
 * Events were lost; what they did follows as replayed events, then NSW_EVENT_SYNCED. From NSW_SOURCE_NSID, with
 * nsw_event_dropped() 0, also: the kernel does not list all ids, so that some may be missing even then. Since: 0.1
 */
#define NSW_EVENT_OVERFLOW 10

/**
 * A network namespace exists, with or without a name (NSW_SOURCE_ALL); nsw_event_netns() identifies it. Since: 0.1
 */
#define NSW_EVENT_NETNS_NEW 11

/**
 * The network namespace that nsw_event_netns() identifies is gone (NSW_SOURCE_ALL). Since: 0.1
 */
#define NSW_EVENT_NETNS_DEL 12

/**
 * A bit of nsw_event_flags(): existing state, told at open or by a resync. Since: 0.1
 */
#define NSW_EVENT_REPLAYED 1

/**
 * What an nsid is where there is none. Since: 0.1
 */
#define NSID_NOT_ASSIGNED (-1)

/**
 * Returns the type, NSW_EVENT_*; 0 for NULL. Types may be added in later versions: ignore those that you do not know.
 *
 * Since: 0.1
 */
uint32_t nsw_event_type(const nsw_event *e);

/**
 * Returns the name of a type of event, as "created" for NSW_EVENT_CREATED; "unknown" for a number that is none.
 * Static text.
 *
 * Since: 0.1
 */
const char *nsw_event_type_name(uint32_t type);

/**
 * Returns bits: NSW_EVENT_REPLAYED; 0 for NULL.
 *
 * Since: 0.1
 */
uint32_t nsw_event_flags(const nsw_event *e);

/**
 * Returns CLOCK_MONOTONIC, in nanoseconds, when the library learned of it; 0 for NULL.
 *
 * Since: 0.1
 */
uint64_t nsw_event_time_ns(const nsw_event *e);

/**
 * Returns the name: any bytes but '/' and NUL, perhaps not UTF-8, with a NUL behind them. It is borrowed from the
 * event. NULL where the type has no name.
 *
 * Since: 0.1
 */
const char *nsw_event_name(const nsw_event *e);

/**
 * Returns the length of nsw_event_name() in bytes, without the NUL; 0 where there is no name.
 *
 * Since: 0.1
 */
size_t nsw_event_name_len(const nsw_event *e);

/**
 * Returns a path for nsw_netns_open(), borrowed from the event. Of a name: the watched directory, '/' and the name. Of an
 * NSW_EVENT_NETNS_NEW: a path by which the namespace could be opened when the watcher found it. NULL where there is none.
 *
 * Since: 0.1
 */
const char *nsw_event_path(const nsw_event *e);

/**
 * Returns st_dev of the namespace, for NSW_EVENT_READY, NSW_EVENT_NETNS_NEW and NSW_EVENT_NETNS_DEL; else 0.
 *
 * Since: 0.1
 */
uint64_t nsw_event_dev(const nsw_event *e);

/**
 * Returns st_ino of the namespace, for NSW_EVENT_READY, NSW_EVENT_NETNS_NEW and NSW_EVENT_NETNS_DEL; else 0. The kernel
 * recycles these numbers: a later namespace may have the same.
 *
 * Since: 0.1
 */
uint64_t nsw_event_ino(const nsw_event *e);

/**
 * Returns the cookie of the namespace, a number that the kernel never reuses (SO_NETNS_COOKIE, NS_GET_ID), for
 * NSW_EVENT_READY, NSW_EVENT_NETNS_NEW and NSW_EVENT_NETNS_DEL on Linux 6.18 and later; else 0.
 *
 * Since: 0.1
 */
uint64_t nsw_event_cookie(const nsw_event *e);

/**
 * Returns a process or thread that was in the namespace when the watcher found it, for NSW_EVENT_NETNS_NEW; 0: none is
 * known, or another type.
 *
 * Since: 0.1
 */
int32_t nsw_event_pid(const nsw_event *e);

/**
 * Returns the id, for NSW_EVENT_NSID_NEW and NSW_EVENT_NSID_DEL; else NSID_NOT_ASSIGNED.
 *
 * Since: 0.1
 */
int32_t nsw_event_nsid(const nsw_event *e);

/**
 * Returns the id of the namespace that it happened in, for NSW_EVENT_NSID_NEW and NSW_EVENT_NSID_DEL of another
 * namespace (NSW_ALL_NSID); else NSID_NOT_ASSIGNED.
 *
 * Since: 0.1
 */
int32_t nsw_event_origin(const nsw_event *e);

/**
 * Returns the netlink port of who asked for the id, for an NSW_EVENT_NSID_NEW that was explicitly asked for; else 0.
 *
 * Since: 0.1
 */
uint32_t nsw_event_portid(const nsw_event *e);

/**
 * Returns how many events were lost, for NSW_EVENT_OVERFLOW; 0: the kernel did not say, ids may be
 * missing, or another type.
 *
 * Since: 0.1
 */
uint64_t nsw_event_dropped(const nsw_event *e);

/*
 * Identity
 * ========
 *
 * A struct nsw_netns says which network namespace something is. It is a plain value: keep it, compare it, send it, use
 * it as a key. It holds no descriptor and keeps nothing alive. It means something on this host until the host reboots.
 *
 * From Linux 6.18 on, the four numbers of one namespace are equal by whatever way they were obtained. Before, the kernel
 * has no number for a namespace that it never reuses: compare with nsw_netns_same(), which uses what both have.
 *
 * These functions keep nothing between calls and may be called from any thread. Paths are resolved in the mount
 * namespace of the calling thread. They need /proc, and open nothing but a network namespace: no FIFO, no device, no
 * automount at the end of a path.
 */

/**
 * Which network namespace. 32 bytes, for ever.
 *
 * Since: 0.1
 */
typedef struct nsw_netns {
  /**
   * st_dev of the namespace's file.
   */
  uint64_t dev;
  /**
   * st_ino of the namespace's file, the number in `net:[4026531840]`. The kernel recycles these numbers.
   */
  uint64_t ino;
  /**
   * The number that the kernel never reuses (SO_NETNS_COOKIE, NS_GET_ID), from Linux 6.18 on; 0 before.
   */
  uint64_t cookie;
  /**
   * Where there is no cookie and a mount pins the inode (a name): its change time in nanoseconds, which
   * distinguishes this namespace from a later one with the same inode number; else 0.
   */
  uint64_t stamp;
} nsw_netns;

/**
 * Copies the identity that an event carries.
 *
 * @e: an NSW_EVENT_READY, NSW_EVENT_NETNS_NEW or NSW_EVENT_NETNS_DEL, still borrowed.
 * @netns: where the identity is stored.
 *
 * Returns 0, or -EINVAL: an argument is NULL, or the event is of another type.
 *
 * Since: 0.1
 */
int nsw_event_netns(const nsw_event *e, struct nsw_netns *netns);

/**
 * Identifies an open network namespace.
 *
 * @fd: a descriptor of the namespace, O_PATH will do; stays the caller's.
 * @netns: where the identity is stored.
 *
 * Returns 0, or
 * -EINVAL: @netns is NULL, or @fd is not of a namespace;
 * -EBADF: @fd is negative or not open;
 * -EPROTOTYPE: @fd is of a namespace of another kind;
 * -EOPNOTSUPP: /proc is not mounted, or not that of this process;
 * -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
 *
 * Since: 0.1
 */
int nsw_netns_for_fd(int fd, struct nsw_netns *netns);

/**
 * Identifies the network namespace of a process, or of a thread, of the caller's pid namespace.
 *
 * @pid: the process or thread.
 * @netns: where the identity is stored.
 *
 * Returns 0, or
 * -EINVAL: @pid is not positive, or @netns is NULL;
 * -ESRCH: there is no such process or thread, or it has ended. (Where the first thread has ended and others have not, ask
 * by the number of one of these.);
 * -EACCES: no ptrace access to the process (PTRACE_MODE_READ_FSCREDS): that takes its user, or CAP_SYS_PTRACE over it;
 * -EOPNOTSUPP: /proc is not mounted, or not that of this process;
 * -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
 *
 * A pid can be reused between the moment that you learned it and this call: nsw_netns_for_pidfd() excludes that.
 *
 * Since: 0.1
 */
int nsw_netns_for_pid(int32_t pid,
                      struct nsw_netns *netns);

/**
 * Identifies the network namespace of the process that a pidfd refers to, see pidfd_open(2). Unlike a pid it is never
 * reused. By PIDFD_GET_NET_NAMESPACE (Linux 6.11), before that by /proc.
 *
 * @pidfd: stays the caller's.
 * @netns: where the identity is stored.
 *
 * Returns 0, or
 * -EINVAL: @netns is NULL;
 * -EBADF: @pidfd is negative, not open, or no pidfd;
 * -ESRCH: the process has ended;
 * -EACCES: no ptrace access to the process: that takes its user, or CAP_SYS_PTRACE over it; or it is in a pid namespace
 * that cannot be seen from here;
 * -EOPNOTSUPP: before Linux 6.11, /proc is not mounted, or not that of this process;
 * -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
 *
 * Since: 0.1 (Linux 5.3)
 */
int nsw_netns_for_pidfd(int pidfd,
                        struct nsw_netns *netns);

/**
 * Identifies a named network namespace. The error says why a name is not usable.
 *
 * @name: a name in /run/netns, as `ip netns` makes them; if it has a '/' in it, a path. Any bytes.
 * @netns: where the identity is stored.
 *
 * Returns 0, or
 * -EINVAL: an argument is NULL, or @name is empty or has ".." as a component;
 * -ENOENT: nothing is there, or a symbolic link that leads nowhere;
 * -ENODEV: a file on which no network namespace is mounted (yet);
 * -EPROTOTYPE: a namespace of another kind;
 * -EACCES, -ENOTDIR, -ENAMETOOLONG, -ELOOP: as open(2);
 * -EOPNOTSUPP: /proc is not mounted, or not that of this process;
 * -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
 *
 * Since: 0.1
 */
int nsw_netns_for_name(const char *name, struct nsw_netns *netns);

/**
 * Identifies the network namespace that has an id in the namespace that the calling thread is in. Goes through all that
 * can be seen: those mounted in the mount namespace of the calling thread, those that processes are in or have descriptors
 * of, and where listns(2) is permitted (Linux 6.19) all others. Costs some system calls for each.
 *
 * @nsid: the id.
 * @netns: where the identity is stored.
 *
 * Returns 0, or
 * -EINVAL: @nsid is negative, or @netns is NULL;
 * -ENOENT: no namespace has the id, or the one that has it cannot be seen;
 * -EOPNOTSUPP: /proc is not mounted, or not that of this process;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
 *
 * Since: 0.1
 */
int nsw_netns_for_nsid(int32_t nsid,
                       struct nsw_netns *netns);

/**
 * Waits until a named network namespace can be opened, and identifies it. It waits for events and asks for nothing in
 * between. What does not exist yet may be the file, its directory, or all on the way to it. On a filesystem that reports no
 * changes, as /proc, it notices only what is there at the start. Nothing stays open afterwards.
 *
 * @name: as for nsw_netns_for_name().
 * @timeout_ms: how long to wait, in milliseconds; 0: not at all; negative: for ever.
 * @netns: where the identity is stored.
 *
 * Returns 1: it can be opened; 0: the time is over, @netns is untouched; or
 * -EINVAL: an argument is NULL, or @name is empty, has .. as a component, or is the root directory;
 * -EINTR: a signal handler ran;
 * -EACCES, -ENOTDIR, -ENAMETOOLONG, -ELOOP: as open(2);
 * -E2BIG: the directory has more than 1048576 names;
 * -EOPNOTSUPP: /proc is not mounted, or not that of this process;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOSPC: a limit is reached;
 * -EPERM, -ENOSYS: a seccomp filter or a security policy refuses a system call.
 *
 * Since: 0.1
 */
int nsw_netns_wait(const char *name,
                   int timeout_ms,
                   struct nsw_netns *netns);

/**
 * Opens exactly this namespace, for setns(2) and its like.
 *
 * @netns: the identity, as it was obtained: its cookie and its inode number belong together.
 * @path: where the namespace may be found, as nsw_event_path(); NULL: by its cookie alone, wherever it is.
 *
 * Returns a file descriptor, close-on-exec, owned by the caller, who closes it with close(2); or
 * -EINVAL: @netns is NULL;
 * -ENOENT: it is dead, or @path does not lead to a network namespace;
 * -ESTALE: @path leads to another network namespace;
 * -EACCES: @path may not be searched;
 * -EPERM: only the cookie is given, and CAP_SYS_ADMIN is missing. Over the namespace it suffices to open one that lives;
 * to be sure that it is dead takes it in the initial user and pid namespaces;
 * -EOPNOTSUPP: only the cookie is given, and there is none (before Linux 6.18), or a filter forbids
 * open_by_handle_at(2); with a path, /proc is not mounted, or not that of this process;
 * -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
 *
 * From Linux 7.0 on the kernel does not find a namespace by its cookie that only sockets keep: -ENOENT.
 *
 * Since: 0.1 (see open_by_handle_at(2), FD_NSFS_ROOT)
 */
int nsw_netns_open(const struct nsw_netns *netns,
                   const char *path);

/**
 * Compares two identities: by cookie where both have one; else by dev and ino, and by the stamps where both have one.
 *
 * Returns 1: the same namespace; 0: different ones; or -EINVAL: an argument is NULL.
 *
 * Before Linux 6.18, where one of the two has no stamp, a namespace can pass for an earlier one that had its inode
 * number; and one that was mounted, left every mount and was mounted again has another stamp, so that it passes for
 * another one.
 *
 * Since: 0.1
 */
int nsw_netns_same(const struct nsw_netns *a,
                   const struct nsw_netns *b);

/**
 * Asks whether a network namespace lives: a process, a mount, a descriptor or a socket keeps it.
 *
 * @netns: the identity, as it was obtained: its cookie and its inode number belong together.
 *
 * Returns 1: it lives; 0: it is dead, for certain; or
 * -EINVAL: @netns is NULL;
 * -EPERM: it cannot be known here: CAP_SYS_ADMIN in the initial user and pid namespaces is missing;
 * -EOPNOTSUPP: it cannot be known here: it has no cookie (before Linux 6.18), no inode number (before Linux 6.19), or a
 * filter forbids open_by_handle_at(2);
 * -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
 *
 * From Linux 7.0 on the kernel does not find a namespace that only sockets keep: 0.
 *
 * Since: 0.1 (see open_by_handle_at(2), FD_NSFS_ROOT)
 */
int nsw_netns_is_alive(const struct nsw_netns *netns);

/*
 * Options
 * =======
 *
 * Options are made by nsw_options_new() and owned by the caller, who gives them back to nsw_options_free(), at once
 * after nsw_open() if they are not to be used again. One set may serve several watchers, of all sources: what does
 * not apply to a source is ignored. It may move between threads, and one at a time uses it.
 */

/**
 * Start with now, not with what exists. Since: 0.1
 */
#define NSW_NO_REPLAY 1

/**
 * NSW_SOURCE_NAMED: a missing directory is -ENOENT at open, and its removal ends the watch with an
 * NSW_EVENT_DIR_DELETED that is always told. Since: 0.1
 */
#define NSW_NO_PARENT 2

/**
 * NSW_SOURCE_NAMED: tell when the directory itself comes and goes. Since: 0.1
 */
#define NSW_DIR_EVENTS 4

/**
 * NSW_SOURCE_NAMED: report unmounts and re-binds of known names, mounts over the directory or the way to it, and the end
 * of a process that a name is a symbolic link to (for 64 links at most), as they happen and not only at a resync. The
 * default where one change of a mount does not cost a look at every known name: with CAP_SYS_ADMIN over the mount
 * namespace from Linux 6.15 on, for everybody from Linux 6.8 on. With this flag in any case. Since: 0.1
 */
#define NSW_MOUNT_EVENTS 8

/**
 * NSW_SOURCE_NSID: tell what happens in peer namespaces too, those that have an id here. Needs CAP_NET_BROADCAST,
 * and over each peer that is to be heard of. Since: 0.1
 */
#define NSW_ALL_NSID 16

/**
 * Make at open all that could be needed later, such as descriptors of fallbacks, and listen to mounts all the time: for
 * a program that gives up privileges or installs a seccomp filter after nsw_open(). docs/syscalls.md lists the system
 * calls that the watcher goes on to make. Since: 0.1
 */
#define NSW_PREPARE 128

/**
 * NSW_SOURCE_NAMED: no mount events, even where they are the default: what NSW_MOUNT_EVENTS describes is reported at a
 * resync only. Together with NSW_MOUNT_EVENTS: -EINVAL. Since: 0.1
 */
#define NSW_NO_MOUNT_EVENTS 32

/**
 * NSW_SOURCE_NAMED, for a directory that others may write to: a name that is a symbolic link is never followed. It stays
 * pending (NSW_EVENT_CREATED, never NSW_EVENT_READY), and a change of a mount costs it nothing. On the way to the directory
 * only symbolic links that root owns are followed, root of the caller's user namespace: another one is -ELOOP for
 * nsw_open(); if one comes later, the directory counts as gone until the link goes. Since: 0.1
 */
#define NSW_NO_SYMLINKS 64

/**
 * A full queue: the reader thread waits for room; meanwhile the kernel queues, and then overflows. Since: 0.1
 */
#define NSW_QUEUE_BLOCK 1

/**
 * A full queue: the events in it are still told, then NSW_EVENT_OVERFLOW and what has changed since. Since: 0.1
 */
#define NSW_QUEUE_DROP_NEWEST 2

/**
 * A full queue: the events in it are dropped, so that NSW_EVENT_OVERFLOW and what is now come first. Since: 0.1
 */
#define NSW_QUEUE_DROP_OLDEST 3

/**
 * Makes options with the default values.
 *
 * Returns them; NULL after an internal error.
 *
 * Since: 0.1
 */
nsw_options *nsw_options_new(void);

/**
 * Frees options. Watchers that were opened with them are not affected. NULL does nothing.
 *
 * Since: 0.1
 */
void nsw_options_free(nsw_options *o);

/**
 * Sets the flags, in place of those set before.
 *
 * @flags: 0, or one or several of NSW_NO_REPLAY, NSW_NO_PARENT, NSW_DIR_EVENTS, NSW_MOUNT_EVENTS,
 * NSW_NO_MOUNT_EVENTS, NSW_NO_SYMLINKS, NSW_ALL_NSID, NSW_PREPARE.
 *
 * Returns 0, or -EINVAL: @o is NULL, a bit is unknown, or both NSW_MOUNT_EVENTS and NSW_NO_MOUNT_EVENTS are set; then
 * nothing is changed.
 *
 * Since: 0.1
 */
int nsw_options_set_flags(nsw_options *o,
                          uint32_t flags);

/**
 * Sets the directory whose entries are the names, for NSW_SOURCE_NAMED. It need not exist.
 *
 * Whoever may write to the directory decides what the watcher reports and how long its calls take: a name that is a
 * symbolic link has the watcher look at whatever it leads to (a directory that only root may read, an automount, a
 * filesystem that hangs), and the watcher reports it as ready if that is a network namespace, be it the caller's own. For a
 * directory that others may write to, set NSW_NO_SYMLINKS and nsw_options_set_max_names().
 *
 * @path: an absolute path; copied. Default: "/run/netns". More than 3839 bytes are
 * -ENAMETOOLONG for nsw_open(): no name in it could be reached.
 *
 * Returns 0, or -EINVAL: an argument is NULL, or the path is not absolute; then nothing is changed.
 *
 * Since: 0.1
 */
int nsw_options_set_dir(nsw_options *o,
                        const char *path);

/**
 * Sets for how long a name may change before the outcome is told, for NSW_SOURCE_NAMED. The first change of a name
 * starts the time, and when it is over, the difference is told: a name that comes and goes within it is never told,
 * and one that keeps changing is told once in each such time. What is replayed does not wait.
 *
 * @ms: milliseconds; 0, the default: every change is told at once.
 *
 * Returns 0, or -EINVAL: @o is NULL.
 *
 * Since: 0.1
 */
int nsw_options_set_settle(nsw_options *o,
                           uint32_t ms);

/**
 * Asks for a background reader thread with a bounded queue, which takes events from the kernel as they come, however
 * rarely they are asked for. The thread ends with nsw_close(), which does not wait for one that hangs, and has all signals blocked. The price: a process with a
 * second thread can no longer unshare(CLONE_NEWUSER), or setns(2) to a user or mount namespace.
 *
 * @capacity: how many events the queue holds, 1 to 1048576.
 * @policy: what a full queue does: NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST or NSW_QUEUE_DROP_OLDEST. What is dropped is
 * counted, reported by NSW_EVENT_OVERFLOW, and made good by a resync.
 *
 * Returns 0, or -EINVAL: @o is NULL, or a value is none of those; then nothing is changed.
 *
 * Since: 0.1
 */
int nsw_options_set_queue(nsw_options *o,
                          uint32_t capacity,
                          uint32_t policy);

/**
 * Sets how many names, or with NSW_SOURCE_ALL namespaces, the watcher keeps at most. Directories do not count. This bounds
 * the memory: a name takes up to 500 bytes. NSW_SOURCE_NSID ignores it.
 *
 * @names: the limit; 0, the default: 1048576. More of them are -E2BIG for nsw_open(). Later, one call of nsw_next_event() or
 * nsw_wait_event() returns -E2BIG each time that the limit is crossed, and the descriptor is not readable because of it. The
 * watcher goes on with those that it knows, and reports those that it left out when others have gone.
 *
 * Returns 0, or -EINVAL: @o is NULL.
 *
 * Since: 0.1
 */
int nsw_options_set_max_names(nsw_options *o,
                              uint32_t names);

/**
 * Sets the size of the socket's receive buffer, for NSW_SOURCE_NSID. The kernel doubles it; a notification takes some
 * 800 bytes of that. Without CAP_NET_ADMIN no more than net.core.rmem_max is given.
 *
 * @bytes: the size; 0, the default: the library's choice, 2 MiB.
 *
 * Returns 0, or -EINVAL: @o is NULL.
 *
 * Since: 0.1
 */
int nsw_options_set_rcvbuf(nsw_options *o,
                           uint32_t bytes);

/**
 * What the last call with these options that failed could not do, on what, and why, in a sentence: "cannot watch
 * run/netns: the path must be absolute, without a NUL byte". nsw_open() is one of those calls.
 *
 * Returns the sentence, which belongs to the options and stays as it is until another call with them fails, or
 * nsw_options_free(); "" if none has failed, or @o is NULL. Never NULL.
 *
 * Since: 0.1
 */
const char *nsw_options_error(const nsw_options *o);

/*
 * Namespace ids
 * =============
 *
 * The kernel can give a network namespace an id in another one, its peer: a number by which the one is called in the
 * other, and nowhere else. Most namespaces have none: one is assigned when a link is put across two namespaces, or
 * when somebody asks for it. When a namespace dies its ids become free and are soon used again.
 *
 * These functions ask and assign in the network namespace that the calling thread is in, but for nsid_get_as_seen_from().
 * They keep nothing between calls and may be called from any thread. To ask by a pid, a descriptor or a name takes no
 * privilege.
 */

/**
 * Asks for the id that the network namespace of a process has here.
 *
 * @pid: a process, or a thread, of the caller's pid namespace.
 * @nsid: where the id is stored; NSID_NOT_ASSIGNED if it has none.
 *
 * Returns 0, or
 * -EINVAL: @pid is not positive, or @nsid is NULL;
 * -ESRCH: there is no such process;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
 *
 * Since: 0.1 (Linux 4.0)
 */
int nsid_get_for_pid(int32_t pid, int32_t *nsid);

/**
 * Asks for the id that an open network namespace has here.
 *
 * @fd: a descriptor of the namespace; stays the caller's.
 * @nsid: where the id is stored; NSID_NOT_ASSIGNED if it has none.
 *
 * Returns 0, or
 * -EINVAL: @nsid is NULL, or @fd is not of a network namespace;
 * -EBADF: @fd is negative or not open;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
 *
 * Since: 0.1 (Linux 4.0)
 */
int nsid_get_for_fd(int fd, int32_t *nsid);

/**
 * Asks for the id that a named network namespace has here.
 *
 * @name: a name in /run/netns, as `ip netns` makes them; if it has a '/' in it, a path. Any bytes.
 * @nsid: where the id is stored; NSID_NOT_ASSIGNED if it has none.
 *
 * Returns 0, or
 * -ENOBUFS: a limit is reached;
 * and all that nsw_netns_for_name() returns.
 *
 * Since: 0.1 (Linux 4.11)
 */
int nsid_get_for_name(const char *name, int32_t *nsid);

/**
 * Asks for the id that the network namespace of the process behind a pidfd has here, see pidfd_open(2).
 *
 * @pidfd: stays the caller's.
 * @nsid: where the id is stored; NSID_NOT_ASSIGNED if it has none.
 *
 * Returns 0, or
 * -ENOBUFS: a limit is reached;
 * and all that nsw_netns_for_pidfd() returns.
 *
 * Since: 0.1 (Linux 5.3)
 */
int nsid_get_for_pidfd(int pidfd, int32_t *nsid);

/**
 * Asks for the id that one network namespace has in another one, whatever namespace the calling thread is in.
 *
 * @where_fd: a descriptor of the namespace in which the id counts; stays the caller's.
 * @fd: a descriptor of the namespace that has the id; stays the caller's.
 * @nsid: where the id is stored; NSID_NOT_ASSIGNED if it has none there.
 *
 * Returns 0, or
 * -EINVAL: @nsid is NULL, @where_fd is not of a namespace, or @fd is not of a network namespace;
 * -EBADF: a descriptor is negative or not open, or @fd is opened by O_PATH;
 * -EPROTOTYPE: @where_fd is of a namespace of another kind;
 * -EPERM: @where_fd is another namespace than that of the calling thread, and the privilege to ask there is missing:
 * CAP_NET_ADMIN over it if it has an id here, else CAP_SYS_ADMIN here and over it;
 * -EAGAIN: RLIMIT_NPROC prevents starting the thread that asks there and ends with the call;
 * -EOPNOTSUPP: /proc is not mounted, or not that of this process;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
 *
 * Since: 0.1 (Linux 4.0)
 */
int nsid_get_as_seen_from(int where_fd,
                          int fd,
                          int32_t *nsid);

/**
 * Gives an open network namespace an id here, for as long as it lives. When it dies, watchers of NSW_SOURCE_NSID
 * tell NSW_EVENT_NSID_DEL: an id is also a notice of death for a namespace that has no name.
 *
 * @fd: a descriptor of the namespace; stays the caller's. While it is open the namespace lives.
 * @wanted: the id that it is to have; -1: the lowest that is free.
 * @nsid: where its id is stored.
 *
 * Returns 0, or
 * -EINVAL: @wanted is less than -1, @nsid is NULL, or @fd is not of a network namespace;
 * -EBADF: @fd is negative or not open;
 * -EEXIST: the namespace has an id here already, or another one has the wanted id;
 * -EPERM: CAP_NET_ADMIN over the namespace that the calling thread is in is missing;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
 *
 * Since: 0.1 (Linux 4.0)
 */
int nsid_assign(int fd,
                int32_t wanted,
                int32_t *nsid);

/**
 * Asks for the id here of a namespace that is known by its id in a peer.
 *
 * @nsid: the id that it has in the peer.
 * @from: the id that the peer has here.
 * @result: where the id is stored; NSID_NOT_ASSIGNED if it has none here.
 *
 * Returns 0, or
 * -EINVAL: an id is negative, @result is NULL, or no peer has the id @from;
 * -ENOENT: the peer has no such @nsid;
 * -EACCES: CAP_NET_ADMIN over the peer is missing;
 * -EOPNOTSUPP: Linux before 5.0;
 * -EOVERFLOW: the peer has more ids than the kernel lists, 900 on Linux 6.18, and @nsid comes after them;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached;
 * -EAGAIN: the kernel was interrupted time and again.
 *
 * Since: 0.1 (Linux 5.0)
 */
int nsid_translate(int32_t nsid, int32_t from, int32_t *result);

/**
 * Lists the ids that are assigned here, in ascending order.
 *
 * @nsids: where up to @capacity of them are stored; may be NULL if @capacity is 0.
 * @capacity: how many there is room for.
 * @count: where their number is stored; if it is more than @capacity, the list is not complete.
 *
 * Returns 0, or
 * -EINVAL: a pointer is NULL;
 * -EOVERFLOW: the list would not be complete: there are more ids than the kernel lists, and far apart;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached;
 * -EAGAIN: the kernel was interrupted time and again.
 *
 * Linux 6.18 itself lists the first 1158 only. For those after them this asks about up to 32,768 free numbers, and for
 * the ids of all namespaces that are mounted, have a process or are open in this one. A namespace that none of these
 * shows can be missed if its id comes after 8192 free ones in a row.
 *
 * Since: 0.1 (Linux 4.2)
 */
int nsid_list(int32_t *nsids,
              size_t capacity,
              size_t *count);

/*
 * Features
 * ========
 *
 * What this kernel and these privileges have that not all have. Watchers find it out for themselves, by trying, and
 * do without what is not there; these functions tell what they would find. May be called from any thread.
 */

/**
 * Fanotify reports mounts: Linux 6.15 and CAP_SYS_ADMIN over the mount namespace. Without, by
 * NSW_FEATURE_MOUNT_POLL. Since: 0.1
 */
#define NSW_FEATURE_MOUNT_EVENTS 1

/**
 * A kernel AIO poll of mountinfo: Linux 4.18, where AIO is not forbidden. Without both this and
 * NSW_FEATURE_MOUNT_EVENTS the readiness of nsw_fd() for what a mount did is gone once polled: ask for events after
 * every wake-up. Since: 0.1
 */
#define NSW_FEATURE_MOUNT_POLL 2

/**
 * Namespaces have a cookie, which distinguishes one from its successor: Linux 6.18. Without it, the change time of its
 * inode does while the namespace is mounted, nothing does behind a symbolic link to /proc/PID/ns/net, and
 * nsw_event_cookie() is 0.
 * Since: 0.1
 */
#define NSW_FEATURE_COOKIE 3

/**
 * Mounts have an id that is never used again: Linux 6.8. A mount that goes is traced to its names by it;
 * without, with NSW_MOUNT_EVENTS, each change of a mount costs a look at every known name. Since: 0.1
 */
#define NSW_FEATURE_MOUNT_ID 4

/**
 * A file handle says in one system call which namespace a name leads to: Linux 6.18. Without, names are opened.
 * Since: 0.1
 */
#define NSW_FEATURE_NS_HANDLES 5

/**
 * statmount(2) says what a mount is mounted on: Linux 6.8. Without, mount events are not the default, and with
 * NSW_MOUNT_EVENTS each change of a mount costs a look at every known name. Since: 0.1
 */
#define NSW_FEATURE_STATMOUNT 6

/**
 * A peer's ids can be asked for, given CAP_NET_ADMIN over it: Linux 5.0. Without, nsid_translate() fails, and
 * NSW_ALL_NSID tells of peers only what is notified. Since: 0.1
 */
#define NSW_FEATURE_TARGET_NSID 8

/**
 * What happens in peers can be listened to: Linux 4.2 and CAP_NET_BROADCAST. Without, nsw_open() with NSW_ALL_NSID is
 * -EPERM. Since: 0.1
 */
#define NSW_FEATURE_ALL_NSID 9

/**
 * listns(2) lists every network namespace: Linux 6.19, since 7.0 with CAP_SYS_ADMIN in the initial user and pid namespaces.
 * Without, NSW_SOURCE_ALL goes through mounts, processes and their descriptors. Since: 0.1
 */
#define NSW_FEATURE_LISTNS 10

/**
 * NSW_SOURCE_ALL reports new namespaces as they are made, by perf records: CAP_PERFMON or CAP_SYS_ADMIN in the initial user
 * namespace. Without, it notices them when mounts change, when a namespace dies, and at a resync. Since: 0.1
 */
#define NSW_FEATURE_BIRTHS 11

/**
 * NSW_SOURCE_ALL reports deaths as they happen, from a network namespace of its own: CAP_SYS_ADMIN and CAP_NET_ADMIN, or
 * user namespaces may be made. Without, it notices them at a resync, as far as the kernel says so. Since: 0.1
 */
#define NSW_FEATURE_DEATHS 12

/**
 * Tries whether a watcher that the calling thread opened now would have a feature. It leaves nothing behind.
 *
 * @which: one of NSW_FEATURE_*.
 *
 * Returns 1: it would have it; 0: it would not; or
 * -EINVAL: @which is none of them;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS, -ENOSPC, -EAGAIN: a limit is reached, so that it cannot be found out now;
 * -EOPNOTSUPP: /proc is not mounted.
 *
 * Since: 0.1
 */
int nsw_feature(uint32_t which);

/*
 * About the library
 * =================
 *
 * These may be called at any time from any thread.
 */

/**
 * The version of the header: major. Since: 0.1
 */
#define NSW_VERSION_MAJOR 0

/**
 * The version of the header: minor. Since: 0.1
 */
#define NSW_VERSION_MINOR 1

/**
 * The version of the header: patch. Since: 0.1
 */
#define NSW_VERSION_PATCH 0

/**
 * Returns the version of the library that is loaded, as "0.1.0". Static text.
 *
 * Since: 0.1
 */
const char *nsw_version(void);

/**
 * Returns what a result of this library means, and what can be done about it.
 *
 * @rc: 0 or a negative errno, as returned; a positive one is taken for its negative.
 *
 * Static text, never NULL.
 *
 * Since: 0.1
 */
const char *nsw_strerror(int rc);
#ifdef __cplusplus
}
#endif

#endif /* NSWATCH_H */
