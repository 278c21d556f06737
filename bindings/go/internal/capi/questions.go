//go:build linux && (!cgo || nswatch_command)

package capi

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// Questions without a watcher: each starts a process, which ends with the answer.

// once asks a question without a watcher.
func once(fds []int, words ...string) (message, int) {
	p, rc := start()
	if rc < 0 {
		return message{fd: -1}, rc
	}
	defer p.end()
	answer, rc, _ := p.ask(fds, words...)
	return answer, rc
}

// number returns the number of an answer.
func (m message) number() (int, bool) {
	m.drop()
	if len(m.words) != 2 || m.words[0] != "ok" {
		return 0, false
	}
	number, err := strconv.Atoi(m.words[1])
	return number, err == nil
}

func onceNumber(fds []int, words ...string) int {
	answer, rc := once(fds, words...)
	if rc < 0 {
		return rc
	}
	if number, ok := answer.number(); ok {
		return number
	}
	return garbled
}

// Identity

func netnsFor(netns *Netns, fds []int, words ...string) int {
	answer, rc := once(fds, append([]string{"netns"}, words...)...)
	if rc < 0 {
		return rc
	}
	answer.drop()
	var found Netns
	for _, word := range answer.words[1:] {
		key, value, _ := strings.Cut(word, "=")
		number, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return garbled
		}
		found.set(key, number)
	}
	if answer.words[0] != "ok" || found.Ino == 0 {
		return garbled
	}
	*netns = found
	return 0
}

func NetnsForFD(fd int, netns *Netns) int { return netnsFor(netns, []int{fd}, "fd") }

func NetnsForPID(pid int32, netns *Netns) int { return netnsFor(netns, nil, "pid", decimal(pid)) }

func NetnsForPIDFD(pidfd int, netns *Netns) int { return netnsFor(netns, []int{pidfd}, "pidfd") }

func NetnsForName(name string, netns *Netns) int { return netnsFor(netns, nil, "name", name) }

func NetnsForNSID(nsid int32, netns *Netns) int { return netnsFor(netns, nil, "nsid", decimal(nsid)) }

func decimal(number int32) string { return strconv.Itoa(int(number)) }

func (n *Netns) words() []string {
	var words []string
	for _, number := range []uint64{n.Dev, n.Ino, n.Cookie, n.Stamp} {
		words = append(words, strconv.FormatUint(number, 10))
	}
	return words
}

func NetnsOpen(netns *Netns, path string) int {
	answer, rc := once(nil, append(append([]string{"netns-open"}, netns.words()...), path)...)
	if rc < 0 {
		return rc
	}
	if answer.fd < 0 {
		return garbled
	}
	return answer.fd
}

// NetnsSame asks only if the numbers differ.
func NetnsSame(a, b *Netns) int {
	if *a == *b {
		return 1
	}
	return onceNumber(nil, append(append([]string{"netns-same"}, a.words()...), b.words()...)...)
}

func NetnsIsAlive(netns *Netns) int {
	return onceNumber(nil, append([]string{"netns-alive"}, netns.words()...)...)
}

// Nsids

func nsidFor(nsid *int32, fds []int, words ...string) int {
	answer, rc := once(fds, words...)
	if rc < 0 {
		return rc
	}
	number, ok := answer.number()
	if !ok {
		return garbled
	}
	*nsid = int32(number)
	return 0
}

func NSIDGetForPID(pid int32, nsid *int32) int {
	return nsidFor(nsid, nil, "nsid", "pid", decimal(pid))
}

func NSIDGetForFD(fd int, nsid *int32) int { return nsidFor(nsid, []int{fd}, "nsid", "fd") }

func NSIDGetForName(name string, nsid *int32) int { return nsidFor(nsid, nil, "nsid", "name", name) }

func NSIDGetForPIDFD(pidfd int, nsid *int32) int { return nsidFor(nsid, []int{pidfd}, "nsid", "pidfd") }

func NSIDGetAsSeenFrom(where, fd int, nsid *int32) int {
	return nsidFor(nsid, []int{where, fd}, "nsid-seen-from")
}

func NSIDAssign(fd int, wanted int32, nsid *int32) int {
	return nsidFor(nsid, []int{fd}, "nsid-assign", decimal(wanted))
}

func NSIDTranslate(nsid, from int32, result *int32) int {
	return nsidFor(result, nil, "nsid-translate", decimal(nsid), decimal(from))
}

// NSIDList fills nsids and stores the number of nsids, which may be larger.
func NSIDList(nsids []int32, count *int) int {
	p, rc := start()
	if rc < 0 {
		return rc
	}
	defer p.end()
	found := 0
	answer, rc, _ := p.ask(nil, "nsids")
	for rc >= 0 {
		answer.drop()
		for _, word := range answer.words[1:] {
			nsid, err := strconv.ParseInt(word, 10, 32)
			if err != nil {
				return garbled
			}
			if found < len(nsids) {
				nsids[found] = int32(nsid)
			}
			found++
		}
		if answer.words[0] != "more" {
			*count = found
			return 0
		}
		var err error
		answer, err = p.receive()
		answer, rc, _ = p.understand(answer, err)
	}
	return rc
}

// Features

func Feature(which uint32) int {
	return onceNumber(nil, "feature", strconv.FormatUint(uint64(which), 10))
}

// About the library

// Version returns the version of the library that this package requires; the command may have another patch release.
func Version() string { return fmt.Sprintf("%d.%d.%d", VersionMajor, VersionMinor, VersionPatch) }

// Strerror returns the text if an earlier answer had it, else asks.
func Strerror(rc int) string {
	if text, ok := general.Load(rc); ok {
		return text.(string)
	}
	if answer, failed := once(nil, "explain", strconv.Itoa(-rc)); failed >= 0 && len(answer.words) == 2 {
		general.Store(rc, answer.words[1])
		return answer.words[1]
	}
	return syscall.Errno(-rc).Error()
}
