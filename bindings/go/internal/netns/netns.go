// Package netns opens network namespaces and goes into them: what package nswatch needs of the kernel and neither
// libnswatch nor Go's standard library has.
package netns

/*
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>

// as in linux/nsfs.h, whose copy in a distribution may lack the second one (Linux 6.18)
static int ns_type(int fd)              { return ioctl(fd, _IO(0xb7, 0x3)); }
static int cookie(int fd, uint64_t *id)  { return ioctl(fd, _IOR(0xb7, 13, uint64_t), id); }
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
)

// Which namespace it is.
type Identity struct {
	Dev, Ino uint64
	// The number that the kernel never uses again; 0 where it does not tell one.
	ID uint64
	// Where there is no ID: what tells a namespace from a later one of the same inode number. See StampOf.
	Stamp int64
}

const (
	// NoStamp is that of a name which is a symbolic link: nothing keeps the inode that it leads to.
	NoStamp = 0
	// Gone is that of a namespace that was gone before it could be looked at. Nothing is equal to it.
	Gone = -1
)

// StampOf is the time, in nanoseconds, at which the kernel made the inode of an open namespace that was found by path.
func StampOf(fd int, path string) int64 {
	var name, namespace syscall.Stat_t
	if syscall.Lstat(path, &name) != nil || syscall.Fstat(fd, &namespace) != nil {
		return Gone
	}
	if name.Mode&syscall.S_IFMT == syscall.S_IFLNK {
		return NoStamp
	}
	return namespace.Ctim.Nano()
}

const (
	nsfsMagic = 0x6e736673
	oPath     = 0x200000 // O_PATH, which package syscall does not have
)

// Open opens the network namespace that path leads to, if it is still the wanted one. It answers ENOENT if the path
// leads to none, and ESTALE if it is another one.
func Open(path string, wanted Identity) (int, error) {
	// What is there may be anything by now, a FIFO too: nothing but a namespace is opened for reading.
	found, err := syscall.Open(path, oPath|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer syscall.Close(found)
	var filesystem syscall.Statfs_t
	if err := syscall.Fstatfs(found, &filesystem); err != nil {
		return -1, err
	}
	if int64(filesystem.Type) != nsfsMagic {
		return -1, syscall.ENOENT
	}
	fd, err := syscall.Open(fmt.Sprintf("/proc/thread-self/fd/%d", found), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := check(fd, path, wanted); err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

func check(fd int, path string, wanted Identity) error {
	if kind, err := C.ns_type(C.int(fd)); kind < 0 {
		return err
	} else if kind != C.CLONE_NEWNET {
		return syscall.ENOENT
	}
	var stat syscall.Stat_t
	if err := syscall.Fstat(fd, &stat); err != nil {
		return err
	}
	is := Identity{Dev: uint64(stat.Dev), Ino: stat.Ino}
	if wanted.ID != 0 {
		var id C.uint64_t
		if rc, err := C.cookie(C.int(fd), &id); rc < 0 {
			return err
		}
		is.ID = uint64(id)
	} else if wanted.Stamp != NoStamp {
		is.Stamp = StampOf(fd, path)
	}
	if is != wanted || is.Stamp == Gone {
		return syscall.ESTALE
	}
	return nil
}

// ErrGoexit says that a function did not return but ended its goroutine.
var ErrGoexit = errors.New("nswatch: the function called runtime.Goexit")

// Do calls a function on a thread that is in the namespace, waits for it, and answers what it answers. If the thread
// cannot get there, that is the second answer.
func Do(fd int, do func() error) (failure, refused error) {
	failure = ErrGoexit
	onNewThread(func() {
		if rc, err := C.setns(C.int(fd), C.CLONE_NEWNET); rc < 0 {
			failure, refused = nil, err
			return
		}
		failure = do()
	})
	return failure, refused
}

// onNewThread calls a function on a thread that ends after it, and waits for that call.
func onNewThread(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked: so the thread ends with this goroutine, and no other one finds itself elsewhere.
		runtime.LockOSThread()
		if syscall.Gettid() == syscall.Getpid() {
			// All threads but the main one end: it would stay where it is, and keep a namespace alive. While this
			// goroutine occupies it, no other one gets it.
			onNewThread(do)
			runtime.UnlockOSThread()
			return
		}
		do()
	}()
	<-done
}
