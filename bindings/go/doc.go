// Package nswatch tells which Linux network namespaces there are, come and go: those with names, by default; their ids, with
// NSID; or all, with or without a name, with All. It is libnswatch for Go.
//
//	watcher, err := nswatch.Open()
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer watcher.Close()
//	for {
//		event, err := watcher.Next(ctx)
//		if err != nil {
//			log.Fatal(err)
//		}
//		fmt.Println(event)
//	}
//
// From Go 1.23 on, Watcher.All does this in a range loop.
//
// # What is told
//
// Every sequence of events follows a grammar, whatever happened underneath. Per name it is
//
//	( Created ( Ready Detached? )* Deleted )*
//
// where a Ready right after a Ready of the same name means that another namespace took its place; and per id, and
// namespace that it is relative to,
//
//	( NSIDNew NSIDDel )*
//
// and per namespace
//
//	( NetnsNew NetnsDel )?
//
// (on kernels before Linux 6.18, where a namespace has no cookie, again and again).
//
// An Overflow is followed by Synced. After Synced, what a program believes by adding up the events equals what the
// kernel has, if nothing changes any more. One exception: of nsids the kernel may not list all. Then an Overflow with
// Dropped 0 comes before the Synced, and nsids may be missing, but none is wrong.
//
// # Identity
//
// A Netns says which namespace something is: an event, a name, a process, an open file, an nsid. It is a value, the key
// to use for a namespace, and it opens exactly that namespace again. From Linux 6.18 on, values of one namespace are
// equal however they were obtained; before, compare with Netns.Same.
//
// # Threads and namespaces
//
// In Linux a thread is in a network namespace, not a process, and a goroutine may move between threads. That is of no
// matter as long as all threads are in one namespace. A goroutine that enters another one by itself must have called
// runtime.LockOSThread before and should never unlock. What it then asks (NSIDForPID and the other functions about ids)
// and watches (Open with NSID) is relative to the namespace that its thread is in. A Watcher stays with the namespace
// that it was opened in and may be used by any goroutine. Event.Enter and Netns.Enter take care of all this.
//
// A thread also has a root directory and a mount namespace. A Watcher of names looks at paths, which mean something else
// on a thread that has called unshare(CLONE_NEWNS) or setns. Go reuses threads: if a goroutine changes the mount
// namespace of its thread and unlocks the thread, or never locked it, any other goroutine may run there later. A call of a
// Watcher on such a thread returns an error that errors.Is finds to be syscall.EXDEV; it reports nothing wrong and loses
// nothing, and the next call on another thread goes on. To avoid it: call runtime.LockOSThread before you change a mount
// namespace and never unlock, so that Go ends the thread with the goroutine. syscall.Chroot moves all threads of the
// process: open the Watcher after it.
//
// # Without cgo
//
// A build without cgo, or with the tag nswatch_command, asks the nswatch command instead of the library, which it finds in
// PATH or by the environment variable NSWATCH_COMMAND. A Watcher is then a process, started in the namespaces and with the
// capabilities of the thread that calls Open; it stays there, so that EXDEV does not happen. Other questions start a process
// each, a millisecond or two. If there is no command of this version to ask, the error is ENOSYS. Programs compile for other
// systems too: all errors are ENOSYS there.
package nswatch

import "github.com/nswatch/nswatch/bindings/go/internal/capi"

// Version is the version of the libnswatch that is loaded; without cgo, of the one that the package was made for.
func Version() string { return capi.Version() }
