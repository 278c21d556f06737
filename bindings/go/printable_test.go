//go:build linux

package nswatch_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"unicode"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

// hostile is a name that would control a terminal; shown is its escaped form.
const (
	hostile = "\x1b]0;owned\a a\tb\r\n\x7f\u009b\u202e\\'\"\xff\xed\xa0\x80\U000e0041café"
	shown   = `\u{1b}]0;owned\u{7}\x20a\tb\r\n\u{7f}\u{9b}\u{202e}\\\'\"\xff\xed\xa0\x80\u{e0041}café`
)

func TestANameCannotControlTheTerminal(t *testing.T) {
	if is := nswatch.Printable(hostile); is != shown {
		t.Errorf("%q", is)
	}
	event := nswatch.Event{Type: nswatch.Ready, Name: hostile, Netns: nswatch.Netns{Dev: 4, Ino: 5}, Replayed: true}
	if line := "ready " + shown + " net:[5] (replayed)"; event.String() != line || fmt.Sprint(event) != line {
		t.Errorf("%q", event.String())
	}
	err := &nswatch.Error{Op: "open", Path: "/run/netns/" + hostile, Errno: syscall.ENOENT}
	if !errors.Is(err, syscall.ENOENT) || !printed(err.Error()) {
		t.Errorf("%q", err.Error())
	}
	for char := rune(0); char <= unicode.MaxRune; char++ {
		if text := nswatch.Printable(string(char)); !printed(text) {
			t.Errorf("%q: %q", char, text)
		}
	}
}

// printed returns whether a terminal shows every character, or a space.
func printed(text string) bool {
	for _, char := range text {
		if unicode.IsControl(char) || unicode.IsSpace(char) && char != ' ' {
			return false
		}
	}
	return true
}
