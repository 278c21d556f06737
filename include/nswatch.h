/*
 * nswatch.h - watch Linux network namespaces appear, become usable and disappear
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Generated from src/capi by `make header`; edit there.
 *
 * A whole program:
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
 * Return values
 * - A function of type int returns 0, a count or a flag on success, and a negative errno on failure. It stores results
 *   through pointers on success only.
 * - A function that yields events returns 1 with an event, 0 without one, and a negative errno on failure.
 * - A NULL pointer returns -EINVAL, unless the comment of the function says otherwise. nsw_close(NULL) and
 *   nsw_options_free(NULL) do nothing.
 * - nsw_strerror() explains an errno. nsw_options_error() and nsw_error() return a sentence about the last call that
 *   failed with these options or on this watcher: what failed, on what, and why.
 * - An internal error never leaves the library. The call returns -ENOTRECOVERABLE; so does every later call that needs
 *   that watcher to work.
 *
 * Ownership
 * - You own handles and the descriptors that a function opens for you. Free handles with nsw_close() and
 *   nsw_options_free(), close descriptors with close(2). Free nothing else.
 * - A string ends in NUL and belongs to the object that returned it.
 * - An event belongs to its watcher, and its strings belong to the event. Both are valid until the next
 *   nsw_next_event(), nsw_wait_event() or nsw_close() on that watcher.
 *
 * Threads and processes
 * - A watcher may move between threads. One thread at a time may call it: while a call runs, a call from another
 *   thread on that watcher returns -EBUSY and changes nothing. Any thread may call nsw_stat() and nsw_fd() at any
 *   time. Different watchers are independent.
 * - Options may move between threads. One thread at a time may use them.
 * - If a signal handler leaves a call by longjmp(3), all later calls on that watcher return -EBUSY, and the thread
 *   cannot be cancelled until it calls pthread_setcancelstate(3). Close the watcher.
 * - pthread_cancel(3) acts after a call, not during it (with deferred cancelability, the default). To wait in a thread
 *   that you want to cancel, call poll(2) on nsw_fd().
 * - In a child of fork(2), calls on a watcher of the parent return -ECHILD and change nothing. nsw_close() frees the
 *   child's memory and descriptors and leaves the watcher of the parent alone. With a queue, what the reader
 *   thread used at the moment of the fork stays open in the child until execve(2), also a namespace.
 * - A call that must resolve paths returns -EXDEV if the calling thread has another root directory or mount namespace
 *   than the thread that opened the watcher. Nothing is lost: the next call from the original place continues.
 *
 * Resources
 * - All descriptors that the library keeps or returns are 3 or above and close-on-exec. Do not close the library's own
 *   (closefrom(3), close_range(2)): calls would return -EBADF, or read, write and close the file that gets the number
 *   next.
 * - Unless you ask for it, the library keeps no thread, installs no signal handler and prints nothing. Two exceptions:
 *   nsw_open() with NSW_SOURCE_ALL, and nsid_get_as_seen_from(), can start a thread or a child, which ends before the
 *   call returns; an internal error prints a message to standard error. The only global state is the number that
 *   identifies a child of fork(2).
 * - If the library's own allocation fails, the process aborts. Memory grows with the names in the directory (up to 500
 *   bytes each) and with the namespaces, both bounded by nsw_options_set_max_names(); with the nsids (100 bytes each);
 *   and with the capacity of a queue.
 *
 * The grammar of events
 * =====================
 *
 * Every sequence of events from a watcher follows these rules:
 *
 * - per name: ( CREATED ( READY DETACHED? )* DELETED )*. A READY directly after a READY of the same name: another
 *   namespace replaced the first one.
 * - DIR_DELETED comes only after DELETED for every known name.
 * - per nsid and origin, the namespace that the nsid is relative to: ( NSID_NEW NSID_DEL )*.
 * - per namespace: ( NETNS_NEW NETNS_DEL )? where it has a cookie, ( NETNS_NEW NETNS_DEL )* before Linux 6.18.
 * - SYNCED follows each OVERFLOW.
 * - After SYNCED, applying the events yields the kernel's state, if nothing changes any more. One exception: the
 *   kernel may not list all nsids. Then an OVERFLOW with nsw_event_dropped() 0 precedes the SYNCED: some nsids may be
 *   missing, but none is wrong. (Without it, only an nsid far above all others can be missing: nsid_list().)
 */

#ifndef NSWATCH_H
#define NSWATCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A watcher. Opaque. The caller owns it and closes it with nsw_close(). */
typedef struct nsw_watcher nsw_watcher;

/** Options for nsw_open(). Opaque. The caller owns them and frees them with nsw_options_free(). */
typedef struct nsw_options nsw_options;

/** An event. Opaque. The watcher owns it; it is valid until the next event is taken or the watcher is closed. */
typedef struct nsw_event nsw_event;

/*
 * Watching
 * ========
 *
 * nsw_open() opens a watcher, nsw_close() closes it. The thread rule and the lifetime of events: see the conventions
 * at the head of this file.
 */

/**
 * Names in a directory, as `ip netns` makes them (inotify). Since: 0.1
 */
#define NSW_SOURCE_NAMED 1

/**
 * Nsids that the kernel assigns to peers of the network namespace of the calling thread (rtnetlink). The watcher stays
 * with that namespace wherever the thread goes, and keeps it alive until nsw_close(). Since: 0.1
 */
#define NSW_SOURCE_NSID 2

/**
 * Every network namespace of this host that the caller can see, with or without a name: NSW_EVENT_NETNS_NEW and
 * NSW_EVENT_NETNS_DEL. The watcher does not report a namespace that it cannot open, and may miss one that dies before
 * the watcher can identify it. A watcher may make a network namespace of its own (NSW_FEATURE_DEATHS); all other
 * watchers report it. Since: 0.1
 */
#define NSW_SOURCE_ALL 3

/**
 * nsw_stat(): events returned to the caller. Since: 0.1
 */
#define NSW_STAT_DELIVERED 1

/**
 * nsw_stat(): lost events, as far as the library could count them. Since: 0.1
 */
#define NSW_STAT_DROPPED 2

/**
 * nsw_stat(): NSW_EVENT_OVERFLOW events. Since: 0.1
 */
#define NSW_STAT_OVERFLOWS 3

/**
 * nsw_stat(): completed comparisons with the kernel, including the replay at open. Since: 0.1
 */
#define NSW_STAT_RESYNCS 4

/**
 * nsw_stat(): events ready to be returned. Since: 0.1
 */
#define NSW_STAT_QUEUED 5

/**
 * nsw_stat(): the maximum of NSW_STAT_QUEUED so far. Since: 0.1
 */
#define NSW_STAT_QUEUED_MAX 6

/**
 * nsw_stat(): pending names, which exist and do not refer to a network namespace; 0 except for NSW_SOURCE_NAMED.
 * Since: 0.1
 */
#define NSW_STAT_PENDING 7

/**
 * nsw_stat(): existing names, nsids or namespaces. Since: 0.1
 */
#define NSW_STAT_KNOWN 8

/**
 * Opens a watcher. It first emits what exists already, as replayed events that end with NSW_EVENT_SYNCED, unless
 * NSW_NO_REPLAY is set.
 *
 * @source: NSW_SOURCE_NAMED, NSW_SOURCE_NSID or NSW_SOURCE_ALL.
 * @options: NULL for the defaults. You may free the options when the call has returned. If the call fails,
 * nsw_options_error() has the sentence; with NULL, only the errno remains (nsw_strerror()).
 * @watcher: where the function stores the new watcher, which you own.
 *
 * Returns 0, or
 * -EINVAL: @watcher is NULL, @source is unknown, or @options has an option that the source does not have;
 * -ENOTDIR: a part of the path is not a directory;
 * -EACCES: this process may not read or search the directory;
 * -ENOENT: the directory is missing, and NSW_NO_PARENT is set;
 * -ESRCH: the path leads through /proc/PID, and there is no such process;
 * -ELOOP: too many symbolic links on the way, or with NSW_NO_SYMLINKS one that root does not own;
 * -ENAMETOOLONG: as open(2);
 * -E2BIG: the directory has more names, or NSW_SOURCE_ALL finds more namespaces, than nsw_options_set_max_names()
 * permits;
 * -EMFILE, -ENFILE: the limit of inotify instances, or of open files, is reached;
 * -ENOSPC: the limit of inotify watches is reached; for NSW_SOURCE_ALL, which makes a network namespace of its own,
 * the limit of network namespaces;
 * -EPERM: NSW_SOURCE_NSID with NSW_ALL_NSID requires CAP_NET_BROADCAST;
 * -EPERM, -ENOSYS, -EACCES: a seccomp filter or a security policy refuses a system call that has no fallback;
 * -EAGAIN: NSW_SOURCE_NSID: changes kept interrupting the kernel's answer. Or RLIMIT_NPROC prevents starting the
 * reader thread of nsw_options_set_queue(), or the thread of NSW_SOURCE_ALL, which ends before this call returns;
 * -EOPNOTSUPP: /proc is not mounted, or belongs to another pid namespace;
 * -ENOMEM, -ENOBUFS: the kernel is out of memory, or the socket has no room for an answer (net.core.rmem_default).
 *
 * Descriptors: NSW_SOURCE_NAMED uses one inotify instance and four descriptors, and up to three more once a name has
 * been pending. NSW_SOURCE_NSID uses four, with NSW_ALL_NSID five. NSW_SOURCE_ALL uses up to 16, with NSW_PREPARE up
 * to 22, and one per processor. nsw_options_set_queue() adds four. NSW_SOURCE_NSID requires Linux 5.0. The library
 * resolves paths in the mount namespace of the calling thread.
 *
 * Since: 0.1 (Linux 5.10; see inotify(7), fanotify(7), rtnetlink(7))
 */
int nsw_open(uint32_t source,
             nsw_options *options,
             nsw_watcher **watcher);

/**
 * Closes a watcher and frees everything that belongs to it, including the borrowed event. NULL does nothing. No other
 * thread may be in a call on the watcher, or call it afterwards.
 *
 * The call waits for the reader thread of nsw_options_set_queue(). If that thread hangs (in a filesystem that does not
 * answer) and uses no processor time for two seconds, the call returns; the thread frees its memory and descriptors
 * when it continues.
 *
 * In a child of fork(2), the call frees the child's copies and leaves the parent's watcher alone. The objects that a
 * thread of the parent was using at the time of the fork remain until the child exits or calls execve(2); so do some
 * hundred bytes and the stack of a reader thread. If a call by another thread is still running, or longjmp(3) left a
 * call that was not waiting, nsw_close() frees nothing.
 *
 * Since: 0.1 (see fork(2))
 */
void nsw_close(nsw_watcher *watcher);

/**
 * Gets the file descriptor to poll for POLLIN. It is level-triggered: readable as long as there is an event to take,
 * however often and by whatever means you poll it. (One exception: if both fanotify mount events and AIO are refused,
 * only one poll sees the wake-up for a mount. Call nsw_next_event() after each wake-up.) The descriptor is
 * non-blocking and stays the same until nsw_close(). Any thread may call this at any time.
 *
 * Returns the descriptor, which the watcher owns: do not read or close it; or -EINVAL: @watcher is NULL.
 *
 * Since: 0.1 (see poll(2), epoll(7))
 */
int nsw_fd(const nsw_watcher *watcher);

/**
 * Takes the next event. Never waits for one. (It can hang when a name is a symbolic link into a filesystem that hangs:
 * set NSW_NO_SYMLINKS for a directory that others may write to.)
 *
 * @event: where the function stores a pointer to the event, borrowed from the watcher.
 *
 * Returns 1: an event; 0: no event now, @event is untouched; or
 * -EINVAL: an argument is NULL;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOSPC: a limit prevented the watcher from probing. Nothing is lost: the descriptor
 * stays readable, and the next call continues where this one stopped;
 * -ENOBUFS, -EAGAIN: NSW_SOURCE_NSID or NSW_SOURCE_ALL: the kernel had no memory or the socket no room for an answer,
 * or changes kept interrupting its answer. Nothing is lost, as above. (A full receive buffer is not an error: the
 * watcher emits NSW_EVENT_OVERFLOW.)
 * -EPERM, -ENOSYS, -EACCES: a seccomp filter, a security policy or a lost privilege refuses a system call that has no
 * fallback; -EACCES also: the process has given up the right to reach the directory. Nothing is lost, as above;
 * -EXDEV: the call must resolve paths, and the calling thread has another root directory or mount namespace than the
 * thread that called nsw_open() (chroot, pivot_root, unshare, setns). Nothing is lost here either: call again from the
 * original place, or close the watcher;
 * -E2BIG: there are more names or namespaces than nsw_options_set_max_names() permits. One call returns this each time
 * that the number crosses the limit, after the events of those that fit. The watcher continues; see there;
 * -ENOENT: the directory is gone, and NSW_NO_PARENT is set: no event will come any more;
 * -EBUSY: another thread is in a call on this watcher, or longjmp(3) left a call;
 * -ECHILD: the process is a child of the one that opened the watcher;
 * -EBADF: the program has closed a descriptor of the library;
 * -ENOTRECOVERABLE: an internal error. Close the watcher.
 *
 * The work of one call is bounded: one full kernel queue and one comparison of all names.
 *
 * Since: 0.1
 */
int nsw_next_event(nsw_watcher *watcher,
                   const nsw_event **event);

/**
 * Waits for the next event and returns it.
 *
 * @timeout_ms: how long to wait, in milliseconds; 0: not at all; negative: without limit.
 * @event: as for nsw_next_event().
 *
 * Returns 1: an event; 0: the time is over, @event is untouched; or
 * -EINTR: a signal handler ran;
 * and everything that nsw_next_event() returns.
 *
 * Since: 0.1
 */
int nsw_wait_event(nsw_watcher *watcher, int timeout_ms, const nsw_event **event);

/**
 * Compares the events so far with the kernel's state. The watcher emits the differences as replayed events, then
 * NSW_EVENT_SYNCED. The cost: one probe of every name; for NSW_SOURCE_ALL, of every process. A borrowed event stays
 * valid.
 *
 * Returns 0, or as nsw_next_event(). After an error the comparison remains due: a later nsw_next_event() makes it, as
 * soon as it can.
 *
 * Since: 0.1
 */
int nsw_resync(nsw_watcher *watcher);

/**
 * Opens exactly the namespace of an NSW_EVENT_READY or NSW_EVENT_NETNS_NEW, for setns(2) and similar calls. It uses
 * the path of the event. For NSW_EVENT_NETNS_NEW, if that fails, it uses the cookie (Linux 6.18, CAP_SYS_ADMIN) and
 * then the mounts.
 *
 * @event: an event of this watcher, still borrowed.
 *
 * Returns a file descriptor, close-on-exec, which you own and close with close(2); or
 * -EINVAL: an argument is NULL, or the event is of another type;
 * -ENOENT: the path no longer leads to a network namespace; or an NSW_EVENT_NETNS_NEW has no path, and its namespace is
 * dead;
 * -ESTALE: the path leads to another network namespace now; the announced one is dead, or alive elsewhere;
 * -EOPNOTSUPP: an NSW_EVENT_NETNS_NEW without a path, before Linux 6.18;
 * -EXDEV: the calling thread has another root directory or mount namespace than the thread that called nsw_open();
 * -EACCES, -EMFILE, -ENFILE, -ENOMEM: as open(2);
 * -EPERM, -ENOSYS: a seccomp filter or a security policy refuses a system call; -EPERM also: only the cookie remains,
 * and it requires CAP_SYS_ADMIN;
 * -EBUSY, -ECHILD, -ENOTRECOVERABLE: as nsw_next_event().
 *
 * Since: 0.1 (see setns(2), open_by_handle_at(2))
 */
int nsw_open_netns(const nsw_watcher *watcher,
                   const nsw_event *event);

/**
 * Describes in a sentence the last call on this watcher that failed: what failed, on what, why, and the remedy, as
 * "cannot watch /run/netns: permission denied: ...". -EBUSY and -ECHILD do not change it. nsw_options_error() has the
 * sentence of nsw_open().
 *
 * Returns the sentence, which belongs to the watcher and does not change until another call on it fails, or until
 * nsw_close(). "" if no call has failed, @watcher is NULL, or another thread is in a call. Never NULL.
 *
 * Since: 0.1
 */
const char *nsw_error(const nsw_watcher *watcher);

/**
 * Reads one counter of this watcher, NSW_STAT_*, since nsw_open(). Any thread may call this at any time.
 *
 * Returns the number; 0 if @watcher is NULL or @which is unknown.
 *
 * Since: 0.1
 */
uint64_t nsw_stat(const nsw_watcher *watcher, uint32_t which);

/*
 * Events
 * ======
 *
 * Accessors never fail. Where the event has no such part, and for NULL, they return the value that their comment
 * states. Several threads may call them at once on the same event.
 */

/**
 * A name appeared; it may be pending, not a namespace yet. Since: 0.1
 */
#define NSW_EVENT_CREATED 1

/**
 * The name now refers to a network namespace that can be opened. After another NSW_EVENT_READY of the same name:
 * another namespace replaced the first one. Since: 0.1
 */
#define NSW_EVENT_READY 2

/**
 * The name still exists and no longer refers to a network namespace. Since: 0.1
 */
#define NSW_EVENT_DETACHED 3

/**
 * The name is gone. Since: 0.1
 */
#define NSW_EVENT_DELETED 4

/**
 * The watched directory appeared. Since: 0.1
 */
#define NSW_EVENT_DIR_CREATED 5

/**
 * The watched directory is gone, after an NSW_EVENT_DELETED for each name in it. Since: 0.1
 */
#define NSW_EVENT_DIR_DELETED 6

/**
 * The kernel assigned an nsid to a peer namespace. Since: 0.1
 */
#define NSW_EVENT_NSID_NEW 7

/**
 * The namespace that had the nsid died. Since: 0.1
 */
#define NSW_EVENT_NSID_DEL 8

/**
 * The replay, at open or of a resync, is complete. Since: 0.1
 */
#define NSW_EVENT_SYNCED 9

/**
 * Events were lost. Replayed events follow for all that changed, then NSW_EVENT_SYNCED. With NSW_SOURCE_NSID and
 * nsw_event_dropped() 0, also: the kernel does not list all nsids, and some may be missing even after that. Since: 0.1
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
 * The types as an enumeration, so that the compiler warns when a switch omits one (-Wswitch):
 * switch ((enum nsw_event_kind)nsw_event_type(event)) { case NSW_EVENT_READY: ... }.
 * Write no `default:`, and ignore types without a case: later versions may add types. No function takes
 * or returns this enumeration. Since: 0.1
 */
enum nsw_event_kind {
  NSW_EVENT_KIND_CREATED = NSW_EVENT_CREATED,
  NSW_EVENT_KIND_READY = NSW_EVENT_READY,
  NSW_EVENT_KIND_DETACHED = NSW_EVENT_DETACHED,
  NSW_EVENT_KIND_DELETED = NSW_EVENT_DELETED,
  NSW_EVENT_KIND_DIR_CREATED = NSW_EVENT_DIR_CREATED,
  NSW_EVENT_KIND_DIR_DELETED = NSW_EVENT_DIR_DELETED,
  NSW_EVENT_KIND_NSID_NEW = NSW_EVENT_NSID_NEW,
  NSW_EVENT_KIND_NSID_DEL = NSW_EVENT_NSID_DEL,
  NSW_EVENT_KIND_SYNCED = NSW_EVENT_SYNCED,
  NSW_EVENT_KIND_OVERFLOW = NSW_EVENT_OVERFLOW,
  NSW_EVENT_KIND_NETNS_NEW = NSW_EVENT_NETNS_NEW,
  NSW_EVENT_KIND_NETNS_DEL = NSW_EVENT_NETNS_DEL,
};

/**
 * A bit of nsw_event_flags(): a replayed event, which reports what a replay at open or a resync found. Since: 0.1
 */
#define NSW_EVENT_REPLAYED 1

/**
 * No nsid assigned. Since: 0.1
 */
#define NSID_NOT_ASSIGNED (-1)

/**
 * Returns the type, NSW_EVENT_*; 0 for NULL. Later versions may add types: ignore those that you do not know.
 *
 * Since: 0.1
 */
uint32_t nsw_event_type(const nsw_event *e);

/**
 * Returns the name of a type, as "created" for NSW_EVENT_CREATED; "unknown" for an unknown number. Static text.
 *
 * Since: 0.1
 */
const char *nsw_event_type_name(uint32_t type);

/**
 * Returns the flags: NSW_EVENT_REPLAYED or 0; 0 for NULL.
 *
 * Since: 0.1
 */
uint32_t nsw_event_flags(const nsw_event *e);

/**
 * Returns when the library noticed the change, in nanoseconds of CLOCK_MONOTONIC; 0 for NULL.
 *
 * Since: 0.1 (see clock_gettime(2))
 */
uint64_t nsw_event_time_ns(const nsw_event *e);

/**
 * Returns the name: any bytes except '/' and NUL, possibly not UTF-8, terminated by a NUL. NULL where the type has no
 * name.
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
 * Returns a path for nsw_netns_open(). Of a name: the watched directory, '/' and the name. Of an NSW_EVENT_NETNS_NEW:
 * a path that led to the namespace when the watcher found it. NULL where there is none.
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
 * Returns st_ino of the namespace, for NSW_EVENT_READY, NSW_EVENT_NETNS_NEW and NSW_EVENT_NETNS_DEL; else 0. The
 * kernel recycles these numbers: a later namespace may have the same one.
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
 * Returns a process or thread that was in the namespace when the watcher found it, for NSW_EVENT_NETNS_NEW; 0 if none
 * is known, or for another type.
 *
 * Since: 0.1
 */
int32_t nsw_event_pid(const nsw_event *e);

/**
 * Returns the nsid, for NSW_EVENT_NSID_NEW and NSW_EVENT_NSID_DEL; else NSID_NOT_ASSIGNED.
 *
 * Since: 0.1
 */
int32_t nsw_event_nsid(const nsw_event *e);

/**
 * Returns the nsid of the origin, the namespace in which the event happened, for NSW_EVENT_NSID_NEW and
 * NSW_EVENT_NSID_DEL of a peer (NSW_ALL_NSID); else NSID_NOT_ASSIGNED.
 *
 * Since: 0.1
 */
int32_t nsw_event_origin(const nsw_event *e);

/**
 * Returns the netlink port of the requester, for an NSW_EVENT_NSID_NEW that follows an explicit request for the nsid;
 * else 0.
 *
 * Since: 0.1
 */
uint32_t nsw_event_portid(const nsw_event *e);

/**
 * Returns how many events were lost, for NSW_EVENT_OVERFLOW. 0: the kernel did not count them, nsids may be missing,
 * or another type.
 *
 * Since: 0.1
 */
uint64_t nsw_event_dropped(const nsw_event *e);

/*
 * Identity
 * ========
 *
 * A struct nsw_netns identifies a network namespace. It is a plain value: keep it, compare it, send it, use it as a
 * key. It holds no descriptor and does not keep the namespace alive. It is valid on this host until the host reboots.
 *
 * From Linux 6.18 on, the four numbers of a namespace are the same however you obtain them. Before, the kernel has no
 * number that it never reuses: compare with nsw_netns_same(), which uses the numbers that both values have.
 *
 * Any thread may call these functions at any time. They resolve paths in the mount namespace of the calling thread.
 * They require /proc. They open nothing but network namespaces: no FIFO, no device, no automount at the end of a path.
 */

/**
 * Identifies a network namespace. The size will always be 32 bytes.
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
   * A number that the kernel never reuses (SO_NETNS_COOKIE, NS_GET_ID), from Linux 6.18 on; 0 before.
   */
  uint64_t cookie;
  /**
   * The inode's change time in nanoseconds, if there is no cookie and a mount pins the inode (a name); else 0. It
   * distinguishes this namespace from a later one with the same inode number.
   */
  uint64_t stamp;
} nsw_netns;

/**
 * Copies the identity that an event carries.
 *
 * @e: an NSW_EVENT_READY, NSW_EVENT_NETNS_NEW or NSW_EVENT_NETNS_DEL, still borrowed.
 * @netns: where the function stores the identity.
 *
 * Returns 0, or -EINVAL: an argument is NULL, or the event is of another type.
 *
 * Since: 0.1
 */
int nsw_event_netns(const nsw_event *e, struct nsw_netns *netns);

/**
 * Identifies an open network namespace.
 *
 * @fd: a descriptor of the namespace, which you keep. O_PATH suffices.
 * @netns: where the function stores the identity.
 *
 * Returns 0, or
 * -EINVAL: @netns is NULL, or @fd does not refer to a namespace;
 * -EBADF: @fd is negative or not open;
 * -EPROTOTYPE: @fd refers to a namespace of another kind;
 * -EOPNOTSUPP: /proc is not mounted, or belongs to another pid namespace;
 * -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
 *
 * Since: 0.1 (see namespaces(7))
 */
int nsw_netns_for_fd(int fd, struct nsw_netns *netns);

/**
 * Identifies the network namespace of a process or thread in the caller's pid namespace.
 *
 * @pid: the process or thread.
 * @netns: where the function stores the identity.
 *
 * Returns 0, or
 * -EINVAL: @pid is not positive, or @netns is NULL;
 * -ESRCH: no such process or thread exists, or it has ended (if the first thread of a process has ended and others
 * have not, pass the number of one of these);
 * -EACCES: the caller lacks ptrace access to the process (PTRACE_MODE_READ_FSCREDS), which requires its user or
 * CAP_SYS_PTRACE over it;
 * -EOPNOTSUPP: /proc is not mounted, or belongs to another pid namespace;
 * -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
 *
 * The kernel may reuse a pid before this call. nsw_netns_for_pidfd() excludes that.
 *
 * Since: 0.1 (see ptrace(2))
 */
int nsw_netns_for_pid(int32_t pid,
                      struct nsw_netns *netns);

/**
 * Identifies the network namespace of the process that a pidfd refers to, see pidfd_open(2). Unlike a pid, a pidfd
 * never comes to mean another process. Uses PIDFD_GET_NET_NAMESPACE (Linux 6.11), before that /proc.
 *
 * @pidfd: the pidfd, which you keep.
 * @netns: where the function stores the identity.
 *
 * Returns 0, or
 * -EINVAL: @netns is NULL;
 * -EBADF: @pidfd is negative, not open, or not a pidfd;
 * -ESRCH: the process has ended;
 * -EACCES: the caller lacks ptrace access to the process, which requires its user or CAP_SYS_PTRACE over it; or the
 * process is in a pid namespace that the caller cannot see;
 * -EOPNOTSUPP: before Linux 6.11, /proc is not mounted, or belongs to another pid namespace;
 * -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
 *
 * Since: 0.1 (Linux 5.3)
 */
int nsw_netns_for_pidfd(int pidfd,
                        struct nsw_netns *netns);

/**
 * Identifies a named network namespace. The error says why a name is not usable.
 *
 * @name: a name in /run/netns, as `ip netns` makes them; with a '/' in it, a path. Any bytes.
 * @netns: where the function stores the identity.
 *
 * Returns 0, or
 * -EINVAL: an argument is NULL, or @name is empty or has ".." as a component;
 * -ENOENT: the name does not exist, or is a dangling symbolic link;
 * -ENODEV: a file on which no network namespace is mounted (yet);
 * -EPROTOTYPE: a namespace of another kind;
 * -EACCES, -ENOTDIR, -ENAMETOOLONG, -ELOOP: as open(2);
 * -EOPNOTSUPP: /proc is not mounted, or belongs to another pid namespace;
 * -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
 *
 * Since: 0.1 (see ip-netns(8))
 */
int nsw_netns_for_name(const char *name, struct nsw_netns *netns);

/**
 * Identifies the network namespace that has an nsid in the namespace of the calling thread. It searches all namespaces
 * that the caller can see: those mounted in the mount namespace of the calling thread, those of processes, those that
 * processes have descriptors of, and with listns(2) (Linux 6.19, see NSW_FEATURE_LISTNS) all others, except those
 * that only a socket keeps. It makes some system calls for each.
 *
 * @nsid: the nsid.
 * @netns: where the function stores the identity.
 *
 * Returns 0, or
 * -EINVAL: @nsid is negative, or @netns is NULL;
 * -ENOENT: no namespace has the nsid, or the caller cannot see the namespace that has it;
 * -EAGAIN: a namespace kept leaving the places where the library found it;
 * -EOPNOTSUPP: /proc is not mounted, or belongs to another pid namespace;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
 *
 * Since: 0.1 (see rtnetlink(7))
 */
int nsw_netns_for_nsid(int32_t nsid,
                       struct nsw_netns *netns);

/**
 * Waits until a named network namespace can be opened, and identifies it. It waits for events and does not poll. The
 * file, its directory, or the whole path may be missing at first. On a filesystem that reports no changes, such as
 * /proc, it notices only what exists at the start. Nothing stays open afterwards.
 *
 * @name: as for nsw_netns_for_name().
 * @timeout_ms: how long to wait, in milliseconds; 0: not at all; negative: without limit.
 * @netns: where the function stores the identity.
 *
 * Returns 1: the namespace can be opened; 0: the time is over, @netns is untouched; or
 * -EINVAL: an argument is NULL, or @name is empty, has ".." as a component, or is the root directory;
 * -EINTR: a signal handler ran;
 * -EACCES, -ENOTDIR, -ENAMETOOLONG, -ELOOP: as open(2);
 * -E2BIG: the directory has more than 1048576 names;
 * -EOPNOTSUPP: /proc is not mounted, or belongs to another pid namespace;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOSPC: a limit is reached;
 * -EPERM, -ENOSYS: a seccomp filter or a security policy refuses a system call.
 *
 * Since: 0.1 (see inotify(7))
 */
int nsw_netns_wait(const char *name,
                   int timeout_ms,
                   struct nsw_netns *netns);

/**
 * Opens exactly this namespace, for setns(2) and similar calls.
 *
 * @netns: the identity, unchanged: its cookie and its inode number belong together.
 * @path: a path to the namespace, as nsw_event_path(). NULL: open by the cookie alone, wherever the namespace is.
 *
 * Returns a file descriptor, close-on-exec, which you own and close with close(2); or
 * -EINVAL: @netns is NULL;
 * -ENOENT: the namespace is dead, or @path does not lead to a network namespace;
 * -ESTALE: the namespace is not at @path, which leads to another one: it is dead or elsewhere;
 * -EACCES: the caller may not search @path;
 * -EPERM: without @path, and CAP_SYS_ADMIN is missing. You need it over the namespace to open a living one, and in the
 * initial user and pid namespaces to be sure that one is dead;
 * -EOPNOTSUPP: without @path, the identity has no cookie (before Linux 6.18) or no inode number (before Linux 6.19), or
 * a filter forbids open_by_handle_at(2); with @path, /proc is not mounted, or belongs to another pid namespace;
 * -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
 *
 * From Linux 6.19 on, the kernel does not find a namespace by its cookie if only sockets keep it: -ENOENT.
 *
 * Since: 0.1 (see open_by_handle_at(2), FD_NSFS_ROOT)
 */
int nsw_netns_open(const struct nsw_netns *netns,
                   const char *path);

/**
 * Compares two identities: by cookie if both have one; else by dev and ino, and by stamp if both have one.
 *
 * Returns 1: the same namespace; 0: different namespaces; or -EINVAL: an argument is NULL.
 *
 * Before Linux 6.18 the answer can be wrong in two cases. If one identity has no stamp, a namespace can pass for an
 * earlier one that had its inode number. A namespace that left every mount and was mounted again has another stamp,
 * and passes for another one.
 *
 * Since: 0.1
 */
int nsw_netns_same(const struct nsw_netns *a,
                   const struct nsw_netns *b);

/**
 * Reports whether a network namespace is alive: a process, a mount, a descriptor or a socket keeps it.
 *
 * @netns: the identity, unchanged: its cookie and its inode number belong together.
 *
 * Returns 1: alive; 0: dead, for certain, with one exception from Linux 6.19 on, see below; or
 * -EINVAL: @netns is NULL;
 * -EPERM: the answer requires CAP_SYS_ADMIN in the initial user and pid namespaces;
 * -EOPNOTSUPP: the identity has no cookie (before Linux 6.18) or no inode number (before Linux 6.19), or a filter
 * forbids open_by_handle_at(2);
 * -EMFILE, -ENFILE, -ENOMEM: a limit is reached.
 *
 * From Linux 6.19 on, the kernel does not find a living namespace that only sockets keep: this returns 0.
 *
 * Since: 0.1 (see open_by_handle_at(2), FD_NSFS_ROOT)
 */
int nsw_netns_is_alive(const struct nsw_netns *netns);

/*
 * Options
 * =======
 *
 * You own the options from nsw_options_new() and free them with nsw_options_free(), right after nsw_open() if you do
 * not need them again. One set may serve several watchers. nsw_open() refuses an option or a flag that the source does
 * not have (-EINVAL; nsw_options_error() names it). An option with its default value counts as not set. An option
 * whose comment names no source applies to all sources.
 */

/**
 * Emit no replayed events at open: start with the first change. Since: 0.1
 */
#define NSW_NO_REPLAY 1

/**
 * NSW_SOURCE_NAMED: if the directory is missing, nsw_open() returns -ENOENT. If it goes later, the watcher emits
 * NSW_EVENT_DIR_DELETED, even without NSW_DIR_EVENTS, and the watch ends. Since: 0.1
 */
#define NSW_NO_PARENT 2

/**
 * NSW_SOURCE_NAMED: report when the directory itself appears and disappears. Since: 0.1
 */
#define NSW_DIR_EVENTS 4

/**
 * NSW_SOURCE_NAMED: report these changes as they happen, not only at a resync: unmounts and re-binds of known names,
 * mounts over the directory or the way to it, and the end of a process that a name links to (for at most 64 links).
 * This is the default where one change of a mount does not require a probe of every known name: from Linux 6.15 on
 * with CAP_SYS_ADMIN over the mount namespace, from Linux 6.8 on for everybody. With this flag, always. Since: 0.1
 */
#define NSW_MOUNT_EVENTS 8

/**
 * NSW_SOURCE_NSID: also report what happens in peer namespaces that have an nsid here. Requires CAP_NET_BROADCAST,
 * also over each peer to be reported. Since: 0.1
 */
#define NSW_ALL_NSID 16

/**
 * Make at open all that the watcher could need later, such as descriptors of fallbacks, and watch mounts all the time.
 * For a program that gives up privileges or installs a seccomp filter after nsw_open(). docs/syscalls.md lists the
 * system calls that the watcher makes afterwards. Since: 0.1
 */
#define NSW_PREPARE 128

/**
 * NSW_SOURCE_NAMED: no mount events, even where they are the default. Only a resync then reports the changes that
 * NSW_MOUNT_EVENTS describes. Together with NSW_MOUNT_EVENTS: -EINVAL. Since: 0.1
 */
#define NSW_NO_MOUNT_EVENTS 32

/**
 * NSW_SOURCE_NAMED, for a directory that others may write to: never follow a name that is a symbolic link. Such a name
 * stays pending (NSW_EVENT_CREATED, never NSW_EVENT_READY), and a change of a mount does not probe it. On the way to
 * the directory, follow only symbolic links owned by root of the caller's user namespace: with another one, nsw_open()
 * returns -ELOOP; if one appears later, the directory counts as gone until the link goes. Since: 0.1
 */
#define NSW_NO_SYMLINKS 64

/**
 * A full queue: the reader thread waits for room. Meanwhile the kernel queues, and then overflows. Since: 0.1
 */
#define NSW_QUEUE_BLOCK 1

/**
 * A full queue: the watcher still emits the queued events, then NSW_EVENT_OVERFLOW and the changes since then.
 * Since: 0.1
 */
#define NSW_QUEUE_DROP_NEWEST 2

/**
 * A full queue: the watcher drops the queued events, so that NSW_EVENT_OVERFLOW and the present state come first.
 * Since: 0.1
 */
#define NSW_QUEUE_DROP_OLDEST 3

/**
 * Makes options with the default values.
 *
 * Returns the options, which you own; NULL after an internal error.
 *
 * Since: 0.1
 */
nsw_options *nsw_options_new(void);

/**
 * Frees options. Watchers opened with them are not affected. NULL does nothing.
 *
 * Since: 0.1
 */
void nsw_options_free(nsw_options *o);

/**
 * Sets the flags. They replace all earlier flags.
 *
 * @flags: 0, or any of NSW_NO_REPLAY, NSW_NO_PARENT, NSW_DIR_EVENTS, NSW_MOUNT_EVENTS, NSW_NO_MOUNT_EVENTS,
 * NSW_NO_SYMLINKS, NSW_ALL_NSID, NSW_PREPARE.
 *
 * Returns 0, or -EINVAL: @o is NULL, a bit is unknown, or NSW_MOUNT_EVENTS and NSW_NO_MOUNT_EVENTS are both set. An
 * error changes nothing.
 *
 * Since: 0.1
 */
int nsw_options_set_flags(nsw_options *o,
                          uint32_t flags);

/**
 * NSW_SOURCE_NAMED: sets the directory whose entries are the names. It need not exist.
 *
 * Everybody who may write to the directory controls what the watcher reports and how long its calls take. For a name
 * that is a symbolic link, the watcher probes the target: a directory that only root may read, an automount, a
 * filesystem that hangs. It emits NSW_EVENT_READY if the target is a network namespace, even the caller's own. For a
 * directory that others may write to, set NSW_NO_SYMLINKS and nsw_options_set_max_names().
 *
 * @path: an absolute path, which the function copies. Default: "/run/netns". With more than 3839 bytes, nsw_open()
 * returns -ENAMETOOLONG, because no name in the directory could be reached.
 *
 * Returns 0, or -EINVAL: an argument is NULL, or the path is not absolute. An error changes nothing.
 *
 * Since: 0.1 (see ip-netns(8))
 */
int nsw_options_set_dir(nsw_options *o,
                        const char *path);

/**
 * NSW_SOURCE_NAMED: debounces names. The watcher reports the net change of a name @ms milliseconds after its first
 * change. It never reports a name that appears and disappears within that time. A name that keeps changing gets one
 * report per @ms. Replayed events do not wait.
 *
 * @ms: milliseconds; 0, the default: report each change at once.
 *
 * Returns 0, or -EINVAL: @o is NULL.
 *
 * Since: 0.1
 */
int nsw_options_set_settle(nsw_options *o,
                           uint32_t ms);

/**
 * Makes nsw_open() start a reader thread with a bounded queue. The thread takes events from the kernel as they come,
 * however rarely you call nsw_next_event(). It has all signals blocked. It ends with nsw_close(), which does not wait
 * for a thread that hangs. The price: a process with a second thread can no longer call unshare(CLONE_NEWUSER), or
 * setns(2) to a user or mount namespace.
 *
 * @capacity: the number of events that the queue holds, 1 to 1048576.
 * @policy: what happens when the queue is full: NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST or NSW_QUEUE_DROP_OLDEST. The
 * watcher counts dropped events, reports them by NSW_EVENT_OVERFLOW and recovers by a resync.
 *
 * Returns 0, or -EINVAL: @o is NULL, or a value is out of range. An error changes nothing.
 *
 * Since: 0.1 (see unshare(2), setns(2))
 */
int nsw_options_set_queue(nsw_options *o,
                          uint32_t capacity,
                          uint32_t policy);

/**
 * NSW_SOURCE_NAMED, NSW_SOURCE_ALL: sets the maximum number of names, or namespaces, that the watcher keeps.
 * Directories do not count. This bounds the memory: a name takes up to 500 bytes.
 *
 * @names: the limit; 0, the default: 1048576. If there are more, nsw_open() returns -E2BIG. Later, one call of
 * nsw_next_event() or nsw_wait_event() returns -E2BIG each time that the number crosses the limit; the descriptor is
 * not readable because of it. The watcher keeps reporting the names that it knows, and reports the others when there
 * is room.
 *
 * Returns 0, or -EINVAL: @o is NULL.
 *
 * Since: 0.1
 */
int nsw_options_set_max_names(nsw_options *o,
                              uint32_t names);

/**
 * NSW_SOURCE_NSID: sets the size of the socket's receive buffer. The kernel doubles it; a notification takes some 800
 * bytes of the result. Without CAP_NET_ADMIN, net.core.rmem_max limits the size.
 *
 * @bytes: the size; 0, the default: 2 MiB, the library's choice.
 *
 * Returns 0, or -EINVAL: @o is NULL.
 *
 * Since: 0.1 (see SO_RCVBUF in socket(7))
 */
int nsw_options_set_rcvbuf(nsw_options *o,
                           uint32_t bytes);

/**
 * Describes in a sentence the last call with these options that failed, nsw_open() included: what failed, on what,
 * and why, as "cannot watch run/netns: the path must be absolute, without a NUL byte".
 *
 * Returns the sentence, which belongs to the options and does not change until another call with them fails, or until
 * nsw_options_free(). "" if no call has failed, or @o is NULL. Never NULL.
 *
 * Since: 0.1
 */
const char *nsw_options_error(const nsw_options *o);

/*
 * Namespace ids
 * =============
 *
 * An nsid is the number that the kernel gives to one network namespace, a peer, inside another one. It is valid only
 * there. Most namespaces have none. The kernel assigns one when a link connects two namespaces, or on request
 * (nsid_assign()). When a namespace dies, its nsids become free, and the kernel soon reuses them.
 *
 * These functions work in the network namespace of the calling thread, except nsid_get_as_seen_from(). Any thread may
 * call them at any time. nsid_get_for_pid(), nsid_get_for_fd() and nsid_get_for_name() require no privilege.
 */

/**
 * Gets the nsid that the network namespace of a process has here.
 *
 * @pid: a process or thread in the caller's pid namespace.
 * @nsid: where the function stores the nsid; NSID_NOT_ASSIGNED if there is none.
 *
 * Returns 0, or
 * -EINVAL: @pid is not positive, or @nsid is NULL;
 * -ESRCH: no such process exists;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
 *
 * Since: 0.1 (Linux 4.0; see rtnetlink(7))
 */
int nsid_get_for_pid(int32_t pid, int32_t *nsid);

/**
 * Gets the nsid that an open network namespace has here.
 *
 * @fd: a descriptor of the namespace, which you keep.
 * @nsid: where the function stores the nsid; NSID_NOT_ASSIGNED if there is none.
 *
 * Returns 0, or
 * -EINVAL: @nsid is NULL, or @fd does not refer to a network namespace;
 * -EBADF: @fd is negative or not open;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
 *
 * Since: 0.1 (Linux 4.0; see rtnetlink(7))
 */
int nsid_get_for_fd(int fd, int32_t *nsid);

/**
 * Gets the nsid that a named network namespace has here.
 *
 * @name: a name in /run/netns, as `ip netns` makes them; with a '/' in it, a path. Any bytes.
 * @nsid: where the function stores the nsid; NSID_NOT_ASSIGNED if there is none.
 *
 * Returns 0, or
 * -ENOBUFS: a limit is reached;
 * and everything that nsw_netns_for_name() returns.
 *
 * Since: 0.1 (Linux 4.11; see rtnetlink(7))
 */
int nsid_get_for_name(const char *name, int32_t *nsid);

/**
 * Gets the nsid that the network namespace of the process behind a pidfd has here, see pidfd_open(2).
 *
 * @pidfd: the pidfd, which you keep.
 * @nsid: where the function stores the nsid; NSID_NOT_ASSIGNED if there is none.
 *
 * Returns 0, or
 * -ENOBUFS: a limit is reached;
 * and everything that nsw_netns_for_pidfd() returns.
 *
 * Since: 0.1 (Linux 5.3; see rtnetlink(7))
 */
int nsid_get_for_pidfd(int pidfd, int32_t *nsid);

/**
 * Gets the nsid that one network namespace has in another one, whatever the namespace of the calling thread.
 *
 * @where_fd: a descriptor of the namespace in which the nsid is valid; you keep it.
 * @fd: a descriptor of the namespace that has the nsid; you keep it.
 * @nsid: where the function stores the nsid; NSID_NOT_ASSIGNED if there is none.
 *
 * Returns 0, or
 * -EINVAL: @nsid is NULL, @where_fd does not refer to a namespace, or @fd not to a network namespace;
 * -EBADF: a descriptor is negative or not open, or @fd was opened with O_PATH;
 * -EPROTOTYPE: @where_fd refers to a namespace of another kind;
 * -EPERM: @where_fd is not the namespace of the calling thread, and a capability is missing: CAP_NET_ADMIN over it if
 * it has an nsid here, else CAP_SYS_ADMIN here and over it;
 * -EAGAIN: RLIMIT_NPROC prevents starting a thread, which ends before this call returns;
 * -EOPNOTSUPP: /proc is not mounted, or belongs to another pid namespace;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
 *
 * Since: 0.1 (Linux 4.0; see rtnetlink(7))
 */
int nsid_get_as_seen_from(int where_fd,
                          int fd,
                          int32_t *nsid);

/**
 * Assigns an nsid here to an open network namespace, for as long as that namespace lives. When it dies, watchers of
 * NSW_SOURCE_NSID emit NSW_EVENT_NSID_DEL: so you can watch for the death of a namespace that has no name.
 *
 * @fd: a descriptor of the namespace, which you keep. While it is open, the namespace lives.
 * @wanted: the nsid to assign; -1: the lowest free one.
 * @nsid: where the function stores the assigned nsid.
 *
 * Returns 0, or
 * -EINVAL: @wanted is less than -1, @nsid is NULL, or @fd does not refer to a network namespace;
 * -EBADF: @fd is negative or not open;
 * -EEXIST: the namespace has an nsid here already, or another one has the wanted nsid;
 * -EPERM: requires CAP_NET_ADMIN over the namespace of the calling thread;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached.
 *
 * Since: 0.1 (Linux 4.0; see rtnetlink(7))
 */
int nsid_assign(int fd,
                int32_t wanted,
                int32_t *nsid);

/**
 * Translates an nsid: gets the nsid here of a namespace whose nsid in a peer you know.
 *
 * @nsid: the nsid of the namespace in the peer.
 * @from: the nsid of the peer here.
 * @result: where the function stores the nsid; NSID_NOT_ASSIGNED if there is none here.
 *
 * Returns 0, or
 * -EINVAL: an nsid is negative, @result is NULL, or no peer has the nsid @from;
 * -ENOENT: the peer has no such @nsid;
 * -EACCES: requires CAP_NET_ADMIN over the peer;
 * -EOPNOTSUPP: Linux before 5.0;
 * -EOVERFLOW: the peer has more nsids than the kernel lists, 900 on Linux 6.18, and @nsid comes after them;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached;
 * -EAGAIN: changes kept interrupting the kernel's answer.
 *
 * Since: 0.1 (Linux 5.0; see rtnetlink(7))
 */
int nsid_translate(int32_t nsid, int32_t from, int32_t *result);

/**
 * Lists the nsids assigned here, in ascending order.
 *
 * @nsids: an array for up to @capacity nsids; may be NULL if @capacity is 0.
 * @capacity: the size of the array.
 * @count: where the function stores the number of nsids; if it exceeds @capacity, the array is not complete.
 *
 * Returns 0, or
 * -EINVAL: a pointer is NULL;
 * -EOVERFLOW: the list would not be complete: there are more nsids than the kernel lists, and they are far apart;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: a limit is reached;
 * -EAGAIN: changes kept interrupting the kernel's answer.
 *
 * Linux 6.18 itself lists the first 1158 only. To find the others, this function tries up to 32,768 free numbers, and
 * gets the nsids of all namespaces that are mounted, have a process, or are open in this process. It can miss an nsid
 * that comes after 8192 free ones in a row, if none of these show its namespace.
 *
 * Since: 0.1 (Linux 4.2; see rtnetlink(7))
 */
int nsid_list(int32_t *nsids,
              size_t capacity,
              size_t *count);

/*
 * Features
 * ========
 *
 * Optional features of the kernel that depend on its version and the caller's privileges. A watcher probes each at run
 * time when it needs it, and uses a fallback without it. Any thread may call nsw_feature() at any time.
 */

/**
 * Fanotify reports mounts. Requires Linux 6.15 and CAP_SYS_ADMIN over the mount namespace. Fallback:
 * NSW_FEATURE_MOUNT_POLL. Since: 0.1
 */
#define NSW_FEATURE_MOUNT_EVENTS 1

/**
 * A kernel AIO poll of mountinfo. Requires Linux 4.18 and permission to use AIO. If both this and
 * NSW_FEATURE_MOUNT_EVENTS are missing, nsw_fd() shows the wake-up for a mount to one poll only: call nsw_next_event()
 * after each wake-up. Since: 0.1
 */
#define NSW_FEATURE_MOUNT_POLL 2

/**
 * Namespaces have a cookie, which distinguishes one from its successor. Requires Linux 6.18. Fallback: the change time
 * of the inode while the namespace is mounted; nothing behind a symbolic link to /proc/PID/ns/net. nsw_event_cookie()
 * is then 0. Since: 0.1
 */
#define NSW_FEATURE_COOKIE 3

/**
 * Mounts have an id that the kernel never reuses. By it the watcher finds the names of a mount that goes. Requires
 * Linux 6.8. Fallback, with NSW_MOUNT_EVENTS: a probe of every known name at each change of a mount. Since: 0.1
 */
#define NSW_FEATURE_MOUNT_ID 4

/**
 * A file handle identifies the namespace behind a name in one system call. Requires Linux 6.18. Fallback: the watcher
 * opens names. Since: 0.1
 */
#define NSW_FEATURE_NS_HANDLES 5

/**
 * statmount(2) returns where a mount is mounted. Requires Linux 6.8. Without it, mount events are not the default;
 * with NSW_MOUNT_EVENTS the watcher probes every known name at each change of a mount. Since: 0.1
 */
#define NSW_FEATURE_STATMOUNT 6

/**
 * The kernel lists the nsids of a peer. Requires Linux 5.0 and CAP_NET_ADMIN over the peer. Without it,
 * nsid_translate() fails, and with NSW_ALL_NSID the watcher reports of peers only what the kernel notifies, not the
 * nsids that exist already. Since: 0.1
 */
#define NSW_FEATURE_TARGET_NSID 8

/**
 * The kernel notifies of nsids in peers. Requires Linux 4.2 and CAP_NET_BROADCAST. Without it, nsw_open() with
 * NSW_ALL_NSID returns -EPERM. Since: 0.1
 */
#define NSW_FEATURE_ALL_NSID 9

/**
 * listns(2) lists every network namespace. Requires Linux 6.19 and CAP_SYS_ADMIN in the initial user and pid
 * namespaces. Fallback: NSW_SOURCE_ALL searches mounts, processes and their descriptors. Since: 0.1
 */
#define NSW_FEATURE_LISTNS 10

/**
 * NSW_SOURCE_ALL reports new namespaces as they are made, by perf records. Requires CAP_PERFMON or CAP_SYS_ADMIN in
 * the initial user namespace. Fallback: it notices them when mounts change, when a namespace dies, and at a resync.
 * Since: 0.1
 */
#define NSW_FEATURE_BIRTHS 11

/**
 * NSW_SOURCE_ALL reports deaths as they happen, from a network namespace of its own. Requires CAP_SYS_ADMIN and
 * CAP_NET_ADMIN, or permission to make user namespaces. Fallback: it notices them at a resync, as far as the kernel
 * reports them. Since: 0.1
 */
#define NSW_FEATURE_DEATHS 12

/**
 * Probes whether a watcher that the calling thread opened now would have a feature. Nothing stays open afterwards.
 *
 * @which: one of NSW_FEATURE_*.
 *
 * Returns 1: available; 0: not available; or
 * -EINVAL: @which is unknown;
 * -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS, -ENOSPC, -EAGAIN: a limit is reached, and the probe has no result;
 * -EOPNOTSUPP: /proc is not mounted.
 *
 * Since: 0.1
 */
int nsw_feature(uint32_t which);

/*
 * About the library
 * =================
 *
 * Any thread may call these functions at any time.
 */

/**
 * The major version of this header. Since: 0.1
 */
#define NSW_VERSION_MAJOR 0

/**
 * The minor version of this header. Since: 0.1
 */
#define NSW_VERSION_MINOR 1

/**
 * The patch version of this header. Since: 0.1
 */
#define NSW_VERSION_PATCH 0

/**
 * Returns the version of the loaded library, as "0.1.0". Static text.
 *
 * Since: 0.1
 */
const char *nsw_version(void);

/**
 * Returns what a result of this library means, and the remedy.
 *
 * @rc: 0 or a negative errno; a positive errno counts as its negative.
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
