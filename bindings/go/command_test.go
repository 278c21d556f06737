//go:build linux && (!cgo || nswatch_command)

package nswatch_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	nswatch "github.com/nswatch/nswatch/bindings/go"
)

// script writes a shell script and returns its path.
func script(t *testing.T, lines ...string) string {
	t.Helper()
	path := t.TempDir() + "/nswatch"
	text := "#!/bin/sh\n" + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

const greet = `printf 'nswatch\0%s' 0.1.0 >&0`

// A caller must not mistake a broken command for an answer.
func TestTheCommandIsMissingOrBroken(t *testing.T) {
	clean(t)
	missing := t.TempDir() + "/nswatch"
	directory := t.TempDir()
	newer := script(t, `printf 'nswatch\0%s' 9.8.7 >&0`)
	for command, said := range map[string]string{
		missing:                         missing + `": stat`,
		directory:                       directory,
		"nswatch-of-another-name":       `"nswatch-of-another-name": executable file not found in $PATH`,
		newer:                           newer + " has version 9.8.7, and this package needs version 0.1: ",
		script(t, "exit 2"):             " is not the nswatch command of version 0.1 (exit status 2): ",
		script(t, "printf nswatch >&0"): " is not the nswatch command of version 0.1 (",
	} {
		t.Setenv("NSWATCH_COMMAND", command)
		_, byName := nswatch.NetnsForName("blue")
		_, byNumber := nswatch.ListNSIDs()
		_, toOpen := nswatch.Open()
		_, toKnow := nswatch.Netns{Ino: 1}.IsAlive()
		_, toHave := nswatch.Has(nswatch.FeatureCookie)
		for _, err := range []error{byName, byNumber, toOpen, toKnow, toHave} {
			is(t, err, syscall.ENOSYS)
			if text := err.Error(); !strings.Contains(text, said) || !strings.HasSuffix(text, ": install it, or set NSWATCH_COMMAND to where it is") {
				t.Errorf("%v, without: %s", text, said)
			}
		}
	}
	os.Unsetenv("NSWATCH_COMMAND")
	t.Setenv("PATH", directory)
	_, err := nswatch.NetnsForName("blue")
	is(t, err, syscall.ENOSYS)
	if text := err.Error(); !strings.HasPrefix(text, "nswatch: cannot identify the namespace of blue: this program is built without cgo and needs the nswatch command: ") {
		t.Error(text)
	}
	func() {
		defer func() {
			if failure, ok := recover().(error); !ok || !errors.Is(failure, syscall.ENOSYS) {
				t.Error("no panic without a command:", failure)
			}
		}()
		nswatch.Netns{Ino: 1}.Same(nswatch.Netns{Ino: 2})
	}()
}

func TestMalformedAnswers(t *testing.T) {
	clean(t)
	const wait = "cat > /dev/null"
	for _, answer := range []string{"", "rubbish", `ok`, `ok\0x`, `ok\0ino=x`, `event\0ino=-1`, `error`, `error\0x\0y\0z`, `\0\0\0\0\0`} {
		lines := []string{greet, "printf '" + answer + "' >&0", wait}
		if answer == "" {
			lines = lines[:1]
		}
		t.Setenv("NSWATCH_COMMAND", script(t, lines...))
		if netns, err := nswatch.NetnsForPID(1); err == nil {
			t.Errorf("%q: %v", answer, netns)
		}
		if nsid, err := nswatch.NSIDForPID(1); err == nil {
			t.Errorf("%q: %v", answer, nsid)
		}
		if file, err := (nswatch.Netns{}).Open("/"); err == nil {
			t.Errorf("%q: %v", answer, file)
		}
		if watcher, err := nswatch.Open(); err == nil {
			t.Errorf("%q: %v", answer, watcher)
		}
	}
}

// child returns the process of the only open watcher.
func child(t *testing.T) int {
	t.Helper()
	pids := children(t)
	if len(pids) != 1 {
		t.Fatalf("the children are %v", pids)
	}
	return pids[0]
}

func kill(t *testing.T, pid int, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		t.Fatal(err)
	}
}

func TestTheProcessOfAWatcherIsKilled(t *testing.T) {
	for source, options := range map[string][]nswatch.Option{
		"named": {nswatch.NoReplay(), nswatch.NoMountEvents()}, "nsid": {nswatch.NoReplay(), nswatch.NSID()},
	} {
		t.Run(source, func(t *testing.T) {
			clean(t)
			watcher := open(t, options...)
			result := make(chan error)
			go func() {
				_, err := watcher.Next(soon(t))
				result <- err
			}()
			// waits for an event, not for an answer
			untilWaiting(t, 1, "IO wait", "(*Watcher).next(")
			untilWaiting(t, 0, "IO wait", "(*process).receive(")
			untilWaiting(t, 1, "IO wait", "(*Watcher).next(")
			kill(t, child(t), syscall.SIGKILL)
			waited := <-result
			_, again := watcher.Next(soon(t))
			for _, err := range []error{waited, again, watcher.Resync()} {
				is(t, err, syscall.ENOTRECOVERABLE)
				if err.Error() != "nswatch: cannot go on: the process of the nswatch command has ended" {
					t.Error(err)
				}
			}
			if stats := watcher.Stats(); stats != (nswatch.Stats{}) {
				t.Errorf("%+v", stats)
			}
		})
	}
}

// The process is stopped: Close ends the question and the process.
func TestCloseEndsAProcessThatHangs(t *testing.T) {
	clean(t)
	watcher := open(t)
	pid := child(t)
	kill(t, pid, syscall.SIGSTOP)
	until(t, "the stop", func() bool { return state(t, pid) == "T" })
	results := make(chan error)
	go func() {
		_, err := watcher.Next(context.Background())
		results <- err
	}()
	untilWaiting(t, 1, "IO wait", "(*process).receive")
	go func() { results <- watcher.Resync() }()
	// "semacquire" or "sync.Mutex.Lock"
	untilWaiting(t, 1, "s", "(*Watcher).Resync")
	watcher.Close()
	is(t, <-results, nswatch.ErrClosed)
	is(t, <-results, nswatch.ErrClosed)
}

// state returns the state of a process in /proc, a letter; "" if there is no process.
func state(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:1]
}

// Ctrl-C and the signals of a supervisor must reach only the program.
func TestSignalsAreForTheProgram(t *testing.T) {
	clean(t)
	watcher := open(t, nswatch.NoReplay())
	pid := child(t)
	if group, err := syscall.Getpgid(pid); err != nil || group != pid {
		t.Errorf("its process group is %d: %v", group, err)
	}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		kill(t, pid, signal)
	}
	ipNetns(t, "add", "blue")
	expect(t, watcher, "created blue", "ready blue")
}

func TestTheProcessEndsWithTheProgram(t *testing.T) {
	const here = "NSWATCH_TEST_ENDS"
	if os.Getenv(here) != "" {
		open(t, nswatch.Queue(10, nswatch.QueueBlock))
		fmt.Println("child", child(t))
		select {}
	}
	clean(t)
	program := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	program.Env = append(os.Environ(), here+"=1")
	output, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	for lines := bufio.NewScanner(output); pid == 0 && lines.Scan(); {
		if _, word, ok := strings.Cut(lines.Text(), "child "); ok {
			if pid, err = strconv.Atoi(word); err != nil {
				t.Fatal(err)
			}
		}
	}
	if pid == 0 || state(t, pid) == "" {
		t.Fatalf("no process %d", pid)
	}
	end(program)
	until(t, "its end", func() bool { left := state(t, pid); return left == "" || left == "Z" })
}

// A thread in another mount namespace may use a watcher: the process stays in its own.
func TestAWatcherStaysInItsMountNamespace(t *testing.T) {
	clean(t)
	watcher := open(t, nswatch.NoReplay())
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
			t.Error(err)
		}
		if err := watcher.Resync(); err != nil {
			t.Error(err)
		}
	}()
	<-done
	expect(t, watcher, "synced")
}

// Without root, the process has exactly the capabilities of the thread.
func TestCapabilitiesWithoutRoot(t *testing.T) {
	clean(t)
	const override, readSearch, broadcast, keepCaps, nobody = 1, 2, 11, 8, 65534
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		raw := func(what string, number uintptr, arguments ...uintptr) {
			if _, _, errno := syscall.RawSyscall(number, arguments[0], arguments[1], arguments[2]); errno != 0 {
				t.Errorf("%s: %v", what, errno)
			}
		}
		raw("prctl", syscall.SYS_PRCTL, keepCaps, 1, 0)
		raw("setresuid", syscall.SYS_SETRESUID, nobody, nobody, nobody)
		header := struct {
			version uint32
			pid     int32
		}{version: 0x20080522}
		// to reach the command wherever it is installed
		sets := [2]struct{ effective, permitted, inheritable uint32 }{}
		for _, more := range []uint32{0, 1 << broadcast} {
			sets[0].permitted = 1<<override | 1<<readSearch | 1<<broadcast
			sets[0].effective = 1<<override | 1<<readSearch | more
			raw("capset", syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets)), 0)
			if there, err := nswatch.Has(nswatch.FeatureAllNSID); there != (more != 0) || err != nil {
				t.Errorf("with %x: %v, %v", sets[0].effective, there, err)
			}
		}
	}()
	<-done
}
