package nswatch

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/nswatch/nswatch/bindings/go/internal/capi"
)

// ErrClosed is what the methods of a Watcher answer after Close, and what a Next that is waiting answers then.
// errors.Is finds it to be fs.ErrClosed too, as that of an os.File.
var ErrClosed error = closedError{}

type closedError struct{}

func (closedError) Error() string { return "nswatch: the watcher is closed" }
func (closedError) Unwrap() error { return fs.ErrClosed }

// Error is a refusal by the kernel or by the library. errors.Is compares it by its Errno: both
// errors.Is(err, syscall.EPERM) and errors.Is(err, fs.ErrNotExist) do what one expects.
type Error struct {
	Op    string        // what was attempted
	Path  string        // on what, if it was a path, a name or a namespace
	Errno syscall.Errno // why not
	Text  string        // the library's sentence for it, "" where there is none
}

// Error is the library's sentence, or what it says of the Errno, with the remedy where there is one.
func (e *Error) Error() string {
	if e.Text != "" {
		return "nswatch: " + e.Text
	}
	text := "nswatch: " + e.Op
	if e.Path != "" {
		text += " " + Printable(e.Path)
	}
	return text + ": " + capi.Strerror(-int(e.Errno))
}

// Unwrap is the Errno.
func (e *Error) Unwrap() error { return e.Errno }

// check makes an error of a result of C.
func check(op, path string, rc int) error {
	return checkWith(op, path, rc, func() string { return "" })
}

// checkWith makes an error of a result of C, with the sentence that the handle has for it.
func checkWith(op, path string, rc int, sentence func() string) error {
	if rc >= 0 {
		return nil
	}
	err := &Error{Op: op, Path: path, Errno: syscall.Errno(-rc)}
	if why := capi.Trouble(rc); why != "" {
		err.Text = inWords(op, path, why)
	} else if err.Errno != syscall.EBUSY && err.Errno != syscall.ECHILD {
		// these two leave the sentence of another failure
		err.Text = sentence()
	}
	return err
}

// invalid is the error for an argument that cannot be right.
func invalid(op, path, why string) error {
	return &Error{Op: op, Path: path, Errno: syscall.EINVAL, Text: inWords(op, path, why)}
}

// inWords is a sentence as the library has them.
func inWords(op, path, why string) string {
	if path != "" {
		op += " " + Printable(path)
	}
	return "cannot " + op + ": " + why
}

// wrap makes an *Error of a syscall.Errno.
func wrap(op, path string, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return &Error{Op: op, Path: path, Errno: errno}
	}
	return err
}
