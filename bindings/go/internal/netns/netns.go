// Package netns runs a function on a thread that is inside a network namespace.
package netns

import (
	"errors"
	"runtime"
)

// ErrGoexit says that a function did not return but ended its goroutine.
var ErrGoexit = errors.New("nswatch: the function called runtime.Goexit")

// Do calls a function on a thread that is in the namespace, waits for it, and answers what it answers. If the thread
// cannot get there, that is the second answer.
func Do(fd int, do func() error) (failure, refused error) {
	failure = ErrGoexit
	onNewThread(func() {
		if err := enter(fd); err != nil {
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
		if isMainThread() {
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
