package nswatch

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/nswatch/nswatch/bindings/go/internal/capi"
)

// The methods of a Watcher return ErrClosed after Close, also a Next that waits. errors.Is matches it with fs.ErrClosed
// too, as the error of an os.File.
var ErrClosed error = closedError{}

type closedError struct{}

func (closedError) Error() string { return "nswatch: the watcher is closed" }
func (closedError) Unwrap() error { return fs.ErrClosed }

// An Error says that the kernel or the library refused a call. errors.Is compares its Errno: errors.Is(err, syscall.EPERM)
// and errors.Is(err, fs.ErrNotExist) work.
type Error struct {
	Op    string        // the attempt
	Path  string        // its object, if that is a path, a name or a namespace
	Errno syscall.Errno // the reason
	Text  string        // the library's sentence, or ""
}

// Error returns a sentence that names the attempt, its object, the reason and the remedy.
func (e *Error) Error() string {
	if e.Text != "" {
		return "nswatch: " + e.Text
	}
	return "nswatch: " + sentence(e.Op, e.Path, capi.Strerror(-int(e.Errno)))
}

// Unwrap returns the Errno.
func (e *Error) Unwrap() error { return e.Errno }

// check converts a result of C to an error.
func check(op, path string, rc int) error {
	return checkWith(op, path, rc, func() string { return "" })
}

// checkWith converts a result of C to an error, with the last sentence of the handle.
func checkWith(op, path string, rc int, last func() string) error {
	if rc >= 0 {
		return nil
	}
	err := &Error{Op: op, Path: path, Errno: syscall.Errno(-rc)}
	if why := capi.Trouble(rc); why != "" {
		err.Text = sentence(op, path, why)
	} else if err.Errno != syscall.EBUSY && err.Errno != syscall.ECHILD {
		// EBUSY and ECHILD leave the sentence of an earlier failure
		err.Text = last()
	}
	return err
}

// invalid returns the error for a wrong argument.
func invalid(op, path, why string) error {
	return &Error{Op: op, Path: path, Errno: syscall.EINVAL, Text: sentence(op, path, why)}
}

// sentence returns a sentence in the form of the library's own.
func sentence(op, path, why string) string {
	if path != "" {
		op += " " + Printable(path)
	}
	return "cannot " + op + ": " + why
}

// wrap converts a syscall.Errno to an *Error.
func wrap(op, path string, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return &Error{Op: op, Path: path, Errno: errno}
	}
	return err
}
