//go:build linux && (!cgo || nswatch_command)

package capi

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// A process is an nswatch command that answers one question after the other, see `serve` in nswatch(1).
type process struct {
	*os.Process
	socket *os.File
	conn   syscall.RawConn
}

// The limits of an answer: bytes and descriptors.
const (
	answerSize  = 1 << 16
	answerFiles = 1
)

// isShortage returns whether a limit caused the failure: the next attempt may succeed. Other failures are final.
func isShortage(errno syscall.Errno) bool {
	return errno == syscall.EMFILE || errno == syscall.ENFILE || errno == syscall.ENOMEM || errno == syscall.EAGAIN
}

// Why the command cannot answer, as a sentence; the same for all questions.
var trouble atomic.Value

// refuse stores why the command cannot answer, and returns the result.
func refuse(sentence string) int {
	trouble.Store(sentence)
	return -int(syscall.ENOSYS)
}

// Trouble returns why the command could not answer, if that caused the result.
func Trouble(rc int) string {
	if rc != -int(syscall.ENOSYS) {
		return ""
	}
	sentence, _ := trouble.Load().(string)
	return sentence
}

const remedy = "install it, or set NSWATCH_COMMAND to where it is"

// start starts the command on the calling goroutine's thread: it gets the namespaces of the thread, and exactly its
// capabilities.
func start() (*process, int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	name := os.Getenv("NSWATCH_COMMAND")
	if name == "" {
		name = "nswatch"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, refuse(fmt.Sprintf("this program is built without cgo and needs the nswatch command: %v: %s", err, remedy))
	}
	p, err := spawn(path)
	if err != nil {
		var errno syscall.Errno
		if errors.As(err, &errno) && isShortage(errno) {
			return nil, -int(errno)
		}
		return nil, refuse(fmt.Sprintf("cannot start the nswatch command: %v: %s", err, remedy))
	}
	greeting, err := p.receive()
	if err == nil && len(greeting.words) == 2 && greeting.words[0] == "nswatch" {
		if isOurs(greeting.words[1]) {
			return p, 0
		}
		p.end()
		return nil, refuse(fmt.Sprintf("%s has version %s, and this package needs version %d.%d: %s", path,
			greeting.words[1], VersionMajor, VersionMinor, remedy))
	}
	var errno syscall.Errno
	if errors.As(err, &errno) && isShortage(errno) {
		p.end()
		return nil, -int(errno)
	}
	return nil, refuse(fmt.Sprintf("%s is not the nswatch command of version %d.%d (%v): %s", path, VersionMajor,
		VersionMinor, p.end(), remedy))
}

// isOurs returns whether a version has the same protocol: a patch release does not change it.
func isOurs(version string) bool {
	return strings.HasPrefix(version, fmt.Sprintf("%d.%d.", VersionMajor, VersionMinor))
}

func spawn(path string) (*process, error) {
	effective, err := capabilities()
	if err != nil {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(pair[1]), "nswatch serve")
	defer theirs.Close()
	// Go's poller requires a non-blocking descriptor; the command's end blocks
	if err := syscall.SetNonblock(pair[0], true); err != nil {
		syscall.Close(pair[0])
		return nil, err
	}
	p := &process{socket: os.NewFile(uintptr(pair[0]), "nswatch serve")}
	p.conn, err = p.socket.SyscallConn()
	if err == nil {
		words := []string{path, "serve", "--capabilities", strconv.FormatUint(effective, 16)}
		p.Process, err = os.StartProcess(path, words, &os.ProcAttr{
			Files: []*os.File{theirs, null, null},
			// signals of a terminal or supervisor to the process group must reach only this program
			Sys: &syscall.SysProcAttr{Setpgid: true, AmbientCaps: ambient(effective)},
		})
	}
	if err != nil {
		p.socket.Close()
		if errors.Is(err, syscall.EBADF) {
			// dup3(2) fails so between fork and exec if RLIMIT_NOFILE is reached
			err = syscall.EMFILE
		}
		return nil, err
	}
	return p, nil
}

// capabilities returns the effective capabilities of the thread.
func capabilities() (effective uint64, err error) {
	header := struct {
		version uint32
		pid     int32
	}{version: 0x20080522}
	var sets [2]struct{ effective, permitted, inheritable uint32 }
	_, _, errno := syscall.RawSyscall(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets)), 0)
	if errno != 0 {
		return 0, os.NewSyscallError("capget", errno)
	}
	return uint64(sets[1].effective)<<32 | uint64(sets[0].effective), nil
}

// ambient returns the capabilities that a user other than root keeps across execve(2) only if they are ambient.
func ambient(effective uint64) (kept []uintptr) {
	if syscall.Geteuid() == 0 {
		return nil
	}
	for capability := uintptr(0); capability < 64; capability++ {
		if effective>>capability&1 == 1 {
			kept = append(kept, capability)
		}
	}
	return kept
}

// end kills the process and releases everything.
func (p *process) end() *os.ProcessState {
	p.socket.Close()
	p.Kill()
	// fails if the program has already waited for all its children
	state, _ := p.Wait()
	return state
}

// A message is an answer.
type message struct {
	words []string
	fd    int // -1: none
}

var errEnded = errors.New("the process has ended")

// send sends a question.
func (p *process) send(fds []int, words []string) error {
	text := []byte(strings.Join(words, "\x00"))
	var control []byte
	if len(fds) > 0 {
		control = syscall.UnixRights(fds...)
	}
	var err error
	waited := p.conn.Write(func(fd uintptr) bool {
		err = syscall.Sendmsg(int(fd), text, control, nil, syscall.MSG_NOSIGNAL)
		return err != syscall.EAGAIN && err != syscall.EINTR
	})
	if err == nil {
		err = waited
	}
	return err
}

var buffers = sync.Pool{New: func() interface{} { return new([answerSize]byte) }}

// receive waits for an answer. A goroutine that waits occupies no thread.
func (p *process) receive() (message, error) {
	buffer := buffers.Get().(*[answerSize]byte)
	defer buffers.Put(buffer)
	control := make([]byte, syscall.CmsgSpace(4*answerFiles))
	var n, controls, flags int
	var err error
	waited := p.conn.Read(func(fd uintptr) bool {
		n, controls, flags, _, err = syscall.Recvmsg(int(fd), buffer[:], control, syscall.MSG_CMSG_CLOEXEC)
		return err != syscall.EAGAIN && err != syscall.EINTR
	})
	if err == nil {
		err = waited
	}
	if err != nil {
		return message{fd: -1}, err
	}
	received := message{fd: received(control[:controls])}
	if flags&syscall.MSG_CTRUNC != 0 {
		// the kernel could not install the descriptor
		received.drop()
		return message{fd: -1}, syscall.EMFILE
	}
	if n == 0 || flags&syscall.MSG_TRUNC != 0 {
		received.drop()
		return message{fd: -1}, errEnded
	}
	received.words = strings.Split(string(buffer[:n]), "\x00")
	return received, nil
}

// received returns the descriptor that came with a message, or -1.
func received(control []byte) int {
	parts, err := syscall.ParseSocketControlMessage(control)
	if err != nil || len(parts) == 0 {
		return -1
	}
	fds, err := syscall.ParseUnixRights(&parts[0])
	if err != nil || len(fds) == 0 {
		return -1
	}
	return fds[0]
}

// drop closes an unexpected descriptor.
func (m message) drop() {
	if m.fd >= 0 {
		syscall.Close(m.fd)
	}
}
