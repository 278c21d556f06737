// Package netns runs a function on a thread that is inside a network namespace.
package netns

import (
	"errors"
	"runtime"
)

// ErrGoexit: the function ended its goroutine instead of returning.
var ErrGoexit = errors.New("nswatch: the function called runtime.Goexit")

// Do calls a function on a thread inside the namespace, waits for it, and returns its error first. The second error says why
// the thread could not enter.
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

// onNewThread calls a function on a thread that ends after it, and waits.
func onNewThread(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked: the thread ends with this goroutine, so no other goroutine runs in the wrong namespace.
		runtime.LockOSThread()
		if isMainThread() {
			// The main thread never ends: it would stay in the namespace and keep it alive. While this goroutine
			// occupies it, the new goroutine runs on another thread.
			onNewThread(do)
			runtime.UnlockOSThread()
			return
		}
		do()
	}()
	<-done
}
