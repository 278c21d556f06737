//go:build cgo && linux && !nswatch_command

package capi_test

import (
	"fmt"
	"testing"

	"github.com/nswatch/nswatch/bindings/go/internal/capi"
)

func TestTheLibraryIsThatOfTheHeader(t *testing.T) {
	header := fmt.Sprintf("%d.%d.%d", capi.VersionMajor, capi.VersionMinor, capi.VersionPatch)
	if capi.Version() != header {
		t.Errorf("the library is %s, the header %s", capi.Version(), header)
	}
}

// NULL returns an error or a default, and never crashes.
func TestNULL(t *testing.T) {
	const invalid = -22
	var watcher *capi.Watcher
	var event *capi.Event
	var netns capi.Netns
	for name, got := range map[string]int{
		"Open":       capi.Open(99, nil, &watcher),
		"FD":         capi.FD(nil),
		"NextEvent":  capi.NextEvent(nil, &event),
		"WaitEvent":  capi.WaitEvent(nil, 0, &event),
		"Resync":     capi.Resync(nil),
		"OpenNetns":  capi.OpenNetns(nil, nil),
		"SetFlags":   capi.OptionsSetFlags(nil, 0),
		"SetDir":     capi.OptionsSetDir(nil, "/"),
		"SetSettle":  capi.OptionsSetSettle(nil, 0),
		"SetNames":   capi.OptionsSetMaxNames(nil, 0),
		"SetRcvbuf":  capi.OptionsSetRcvbuf(nil, 0),
		"SetQueue":   capi.OptionsSetQueue(nil, 1, capi.QueueBlock),
		"GetForPID":  capi.NSIDGetForPID(1, nil),
		"GetForFD":   capi.NSIDGetForFD(0, nil),
		"GetForName": capi.NSIDGetForName("a", nil),
		"Assign":     capi.NSIDAssign(0, capi.NotAssigned, nil),
		"ForPIDFD":   capi.NSIDGetForPIDFD(0, nil),
		"SeenFrom":   capi.NSIDGetAsSeenFrom(0, 0, nil),
		"Translate":  capi.NSIDTranslate(0, 0, nil),

		"EventNetns":    capi.EventNetns(nil, &netns),
		"NetnsForFD":    capi.NetnsForFD(0, nil),
		"NetnsForPID":   capi.NetnsForPID(1, nil),
		"NetnsForPIDFD": capi.NetnsForPIDFD(0, nil),
		"NetnsForName":  capi.NetnsForName("/proc/self/ns/net", nil),
		"NetnsForNSID":  capi.NetnsForNSID(0, nil),
		"NetnsOpen":     capi.NetnsOpen(nil, "/proc/self/ns/net"),
		"NetnsSame":     capi.NetnsSame(nil, &netns) & capi.NetnsSame(&netns, nil),
		"NetnsIsAlive":  capi.NetnsIsAlive(nil),
	} {
		if got != invalid {
			t.Errorf("%s: %d, not -EINVAL", name, got)
		}
	}
	if watcher != nil || event != nil || netns != (capi.Netns{}) {
		t.Error("a failed call stored a result")
	}
	capi.Close(nil)
	capi.OptionsFree(nil)
	if capi.Stat(nil, capi.StatKnown) != 0 || capi.EventType(nil) != 0 || capi.EventFlags(nil) != 0 ||
		capi.EventTimeNS(nil) != 0 || capi.EventName(nil) != "" ||
		capi.EventPath(nil) != "" || capi.EventDev(nil) != 0 ||
		capi.EventIno(nil) != 0 || capi.EventCookie(nil) != 0 || capi.EventPID(nil) != 0 ||
		capi.EventPortID(nil) != 0 ||
		capi.EventDropped(nil) != 0 || capi.EventNSID(nil) != capi.NotAssigned ||
		capi.EventOrigin(nil) != capi.NotAssigned {
		t.Error("an accessor returned a value for NULL")
	}
}
