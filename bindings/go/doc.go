// Package nswatch watches Linux network namespaces appear, become usable and disappear. A Watcher reports one of three
// things: names in a directory, by default; nsids, with NSID; or every network namespace of the host, with All. The package
// is a layer over libnswatch.
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
// # Grammar of events
//
// Every sequence of events follows the grammar in nswatch.h, and docs/events.md of the project has traces. In short: a name
// is Created, then Ready and perhaps Detached, again and again, then Deleted. A Ready after a Ready means that another
// namespace took the name. Synced follows each Overflow. After Synced, applying the events yields the kernel's state, if
// nothing changes any more.
//
// # Identity
//
// A Netns is the identity of a network namespace. You obtain it from an event, a name, a process, an open file or an nsid,
// use it as a key, and open exactly that namespace with it later. From Linux 6.18 on, two values are equal if and only if
// they are the same namespace; before, compare with Netns.Same.
//
// # Threads and namespaces
//
// In Linux each thread is in a network namespace, and a goroutine may move between threads. This matters only if your
// program has threads in several namespaces. A goroutine that enters a namespace without Enter must call
// runtime.LockOSThread first and should never unlock. NSIDForPID, the other nsid functions and Open with NSID work in the
// namespace of the goroutine's thread. A Watcher stays with the namespace in which it was opened, and any goroutine may use
// it. Event.Enter and Netns.Enter do all this for you.
//
// A thread also has a root directory and a mount namespace. A Watcher of names looks at paths, which mean something else
// on a thread that has called unshare(CLONE_NEWNS) or setns. Go reuses threads: after a goroutine changes the mount namespace
// of its thread without locking it, other goroutines may run there. On such a thread the calls of a Watcher return an error
// that errors.Is matches with syscall.EXDEV. They report nothing wrong and lose nothing: the next call on another thread
// continues. To avoid this, call runtime.LockOSThread before you change a mount namespace and never unlock: Go ends the
// thread with the goroutine. syscall.Chroot moves all threads of the process: open the Watcher after it.
//
// # Without cgo
//
// A build without cgo, or with the tag nswatch_command, uses the nswatch command instead of the library. It finds the command
// in PATH, or by the environment variable NSWATCH_COMMAND. A Watcher is then a process in the namespaces of the thread that
// called Open, with the capabilities of that thread. It stays there, so EXDEV does not occur. Each other call starts a
// process, which takes a millisecond or two. Without a command of this version every error is ENOSYS. Programs compile for
// other systems too, where every error is ENOSYS.
package nswatch

import "github.com/nswatch/nswatch/bindings/go/internal/capi"

// Version returns the version of the loaded libnswatch; without cgo, the version that this package requires.
func Version() string { return capi.Version() }
