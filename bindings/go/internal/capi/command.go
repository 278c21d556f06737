//go:build linux && (!cgo || nswatch_command)

// Package capi is nswatch.h in Go. In this build it asks the nswatch command, which contains the library. A watcher is a
// process; a question without a watcher starts a process that ends with the answer. This package decides nothing: it writes
// questions and reads answers.
package capi

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Watcher serves one call at a time, except Interrupt.
type Watcher struct {
	process *process
	// Readable when the watcher's descriptor is, or when the process has ended.
	poll    int
	failure string
	event   Event // the borrowed one
}

// Options are collected; the library checks them in Open.
type Options struct {
	words   []string
	failure string
}

// The library's general texts of errnos, as far as answers had them.
var general sync.Map

// ask sends a question and waits for the answer. A negative result has a sentence.
func (p *process) ask(fds []int, words ...string) (answer message, rc int, sentence string) {
	err := p.send(fds, words)
	if err == nil {
		answer, err = p.receive()
	}
	return p.understand(answer, err)
}

func (p *process) understand(answer message, err error) (message, int, string) {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno) && (isShortage(errno) || errno == syscall.EBADF):
		return answer, -int(errno), ""
	case err != nil:
		return answer, -int(syscall.ENOTRECOVERABLE), "cannot go on: the process of the nswatch command has ended"
	}
	if len(answer.words) != 4 || answer.words[0] != "error" {
		return answer, 0, ""
	}
	answer.drop()
	answer.fd = -1
	number, err := strconv.Atoi(answer.words[1])
	if err != nil || number <= 0 {
		number = int(syscall.EIO)
	}
	general.Store(-number, answer.words[3])
	return answer, -number, answer.words[2]
}

// garbled is the result if an answer cannot be read.
const garbled = -int(syscall.ENOTRECOVERABLE)

// Watching

var sources = map[uint32]string{SourceNamed: "named", SourceNSID: "nsid", SourceAll: "all"}

func Open(source uint32, options *Options, watcher **Watcher) int {
	p, rc := start()
	if rc < 0 {
		options.failure = ""
		return rc
	}
	words := append([]string{"open", "source=" + sources[source]}, options.words...)
	answer, rc, sentence := p.ask(nil, words...)
	if rc < 0 {
		p.end()
		options.failure = sentence
		return rc
	}
	poll, err := join(answer.fd, p)
	answer.drop()
	if err != nil {
		p.end()
		options.failure = ""
		return -int(err.(syscall.Errno))
	}
	*watcher = &Watcher{process: p, poll: poll}
	return 0
}

// join returns a descriptor that is readable when the watcher's is, or when the process has ended.
func join(watcher int, p *process) (int, error) {
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return -1, err
	}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(watcher)}
	err = syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, watcher, &event)
	if err == nil {
		failure := p.conn.Control(func(socket uintptr) {
			event := syscall.EpollEvent{Events: syscall.EPOLLRDHUP, Fd: int32(socket)}
			err = syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, int(socket), &event)
		})
		if failure != nil {
			err = syscall.EBADF
		}
	}
	if err == nil {
		err = syscall.SetNonblock(poll, true)
	}
	if err != nil {
		syscall.Close(poll)
		return -1, err
	}
	return poll, nil
}

// Interrupt ends the process, and with it a call that waits for it. Any goroutine may call it.
func Interrupt(w *Watcher) {
	if w != nil {
		w.process.Kill()
	}
}

func Close(w *Watcher) {
	if w != nil {
		syscall.Close(w.poll)
		w.process.end()
	}
}

func FD(w *Watcher) int { return w.poll }

func (w *Watcher) ask(words ...string) (message, int) {
	answer, rc, sentence := w.process.ask(nil, words...)
	if rc < 0 {
		w.failure = sentence
	}
	return answer, rc
}

func NextEvent(w *Watcher, event **Event) int {
	answer, rc := w.ask("next")
	if rc < 0 {
		return rc
	}
	answer.drop()
	if len(answer.words) == 1 && answer.words[0] == "none" {
		return 0
	}
	if answer.words[0] != "event" || !w.event.read(answer.words[1:]) {
		w.failure = fmt.Sprintf("cannot read an answer of the nswatch command: %q", answer.words)
		return garbled
	}
	*event = &w.event
	return 1
}

// read parses an event. It skips unknown words, which a later version may add.
func (e *Event) read(words []string) bool {
	*e = Event{nsid: NotAssigned, origin: NotAssigned}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		var number uint64
		var signed int64
		var err error
		switch key {
		case "type", "name", "path":
		case "nsid", "origin", "pid":
			signed, err = strconv.ParseInt(value, 10, 32)
		default:
			number, err = strconv.ParseUint(value, 10, 64)
		}
		if err != nil {
			return false
		}
		switch key {
		case "type":
			e.kind = typeNumber(value)
		case "replayed":
			e.flags = uint32(number) * EventReplayed
		case "time":
			e.time = time.Duration(number)
		case "name":
			e.name = value
		case "path":
			e.path = value
		case "pid":
			e.pid = int(signed)
		case "nsid":
			e.nsid = int(signed)
		case "origin":
			e.origin = int(signed)
		case "portid":
			e.portid = uint32(number)
		case "dropped":
			e.dropped = number
		default:
			e.netns.set(key, number)
		}
	}
	return strings.HasSuffix(e.path, e.name)
}

func typeNumber(name string) uint32 {
	for number, other := range typeNames {
		if name == other {
			return uint32(number)
		}
	}
	return 0
}

func (n *Netns) set(key string, number uint64) {
	switch key {
	case "dev":
		n.Dev = number
	case "ino":
		n.Ino = number
	case "cookie":
		n.Cookie = number
	case "stamp":
		n.Stamp = number
	}
}

func Resync(w *Watcher) int {
	answer, rc := w.ask("resync")
	answer.drop()
	if rc == 0 && answer.words[0] != "ok" {
		return garbled
	}
	return rc
}

func Stat(w *Watcher, which uint32) uint64 {
	if w == nil {
		return 0
	}
	// in the order of the constants
	answer, rc := w.ask("stats")
	answer.drop()
	if rc < 0 || int(which) >= len(answer.words) {
		return 0
	}
	number, err := strconv.ParseUint(answer.words[which], 10, 64)
	if err != nil {
		return 0
	}
	return number
}

func Error(w *Watcher) string { return w.failure }

// Options

func OptionsNew() *Options { return &Options{} }

func OptionsFree(*Options) {}

var flagWords = map[uint32]string{
	NoReplay: "no-replay", NoParent: "no-parent", DirEvents: "dir-events", MountEvents: "mount-events",
	AllNSID: "all-nsid", NoMountEvents: "no-mount-events", NoSymlinks: "no-symlinks", Prepare: "prepare",
}

func (o *Options) add(key, value string) int {
	o.words = append(o.words, key+"="+value)
	return 0
}

func (o *Options) addNumber(key string, number uint32) int {
	return o.add(key, strconv.FormatUint(uint64(number), 10))
}

func OptionsSetFlags(o *Options, flags uint32) int {
	for bit := uint32(1); bit != 0; bit <<= 1 {
		if flags&bit != 0 {
			o.words = append(o.words, flagWords[bit])
		}
	}
	return 0
}

func OptionsSetDir(o *Options, path string) int { return o.add("dir", path) }

func OptionsSetSettle(o *Options, ms uint32) int { return o.addNumber("settle", ms) }

func OptionsSetMaxNames(o *Options, names uint32) int { return o.addNumber("max-names", names) }

func OptionsSetRcvbuf(o *Options, bytes uint32) int { return o.addNumber("rcvbuf", bytes) }

var policies = map[uint32]string{
	QueueBlock: "block", QueueDropNewest: "drop-newest", QueueDropOldest: "drop-oldest",
}

func OptionsSetQueue(o *Options, capacity, policy uint32) int {
	return o.add("queue", strconv.FormatUint(uint64(capacity), 10)+","+policies[policy])
}

func OptionsError(o *Options) string { return o.failure }
