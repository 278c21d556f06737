// Package examples has the programs of the folders beside it, and runs each of them against real namespaces.
package examples

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const patience = 20 * time.Second

// Where the programs are.
var programs string

// The programs are built here and run in a sandbox.
func TestMain(m *testing.M) {
	if os.Getenv("NSWATCH_SANDBOX") == "" {
		sandbox, err := filepath.Abs("../../../tests/sandbox")
		if err == nil {
			err = syscall.Exec(sandbox, append([]string{sandbox}, os.Args...), os.Environ())
		}
		fmt.Fprintln(os.Stderr, "the tests run in tests/sandbox of the repository of the library:", err)
		os.Exit(1)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if programs, err = os.MkdirTemp("", "nswatch-examples-"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(programs)
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", programs, "./...").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func ipNetns(t *testing.T, arguments ...string) {
	t.Helper()
	if out, err := exec.Command("ip", append([]string{"netns"}, arguments...)...).CombinedOutput(); err != nil {
		t.Fatalf("ip netns %q: %v: %s", arguments, err, out)
	}
}

func namespace(t *testing.T, name string) string {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat("/run/netns/"+name, &stat); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("net:[%d]", stat.Ino)
}

// A running program, whose lines are read with a deadline.
type program struct {
	*exec.Cmd
	input io.WriteCloser
	lines chan string
}

func start(t *testing.T, name string, arguments ...string) *program {
	t.Helper()
	p := &program{Cmd: exec.Command(filepath.Join(programs, name), arguments...), lines: make(chan string)}
	p.Stderr = os.Stderr
	output, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.input, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(patience, func() { p.Process.Kill() })
	t.Cleanup(func() {
		killer.Stop()
		p.Process.Kill()
		for range p.lines {
		}
	})
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(output); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	return p
}

func (p *program) expect(t *testing.T, lines ...string) {
	t.Helper()
	for _, wanted := range lines {
		if line, ok := <-p.lines; line != wanted || !ok {
			t.Fatalf("%q, not %q; still running: %v", line, wanted, ok)
		}
	}
}

// ends expects that the program says no more and ends well.
func (p *program) ends(t *testing.T) {
	t.Helper()
	for line := range p.lines {
		t.Errorf("also %q", line)
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

func refuses(t *testing.T, status int, text, name string, arguments ...string) {
	t.Helper()
	out, err := exec.Command(filepath.Join(programs, name), arguments...).CombinedOutput()
	exit, ok := err.(*exec.ExitError)
	if !ok || exit.ExitCode() != status || !strings.Contains(string(out), text) {
		t.Errorf("%s %q: %v, %s", name, arguments, err, out)
	}
}

func TestMonitor(t *testing.T) {
	ipNetns(t, "add", "before")
	before := namespace(t, "before")
	p := start(t, "monitor")
	p.expect(t, "created before (existing)", "ready before "+before+" (existing)", "synced")
	ipNetns(t, "add", "blue")
	p.expect(t, "created blue", "ready blue "+namespace(t, "blue"))
	ipNetns(t, "del", "blue")
	ipNetns(t, "del", "before")
	p.expect(t, "deleted blue", "deleted before")
	p.Process.Signal(syscall.SIGTERM)
	p.ends(t)
	refuses(t, 1, "invalid argument", "monitor", "relative")
}

func TestAsync(t *testing.T) {
	p := start(t, "async")
	p.expect(t, "synced -")
	ipNetns(t, "add", "blue")
	p.expect(t, "created blue", "ready blue", "opened blue")
	fmt.Fprintln(p.input, "resync")
	p.expect(t, "synced -")
	ipNetns(t, "del", "blue")
	p.expect(t, "deleted blue")
	p.input.Close()
	p.ends(t)
	refuses(t, 1, "invalid argument", "async", "relative")
}

func TestList(t *testing.T) {
	start(t, "list", "/run/missing").ends(t)
	ipNetns(t, "add", "red")
	ipNetns(t, "add", "blue")
	if err := os.WriteFile("/run/netns/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "list")
	p.expect(t, "blue "+namespace(t, "blue"), "file -", "red "+namespace(t, "red"))
	p.ends(t)
	ipNetns(t, "del", "red")
	ipNetns(t, "del", "blue")
	os.Remove("/run/netns/file")
	refuses(t, 1, "invalid argument", "list", "relative")
}

func TestNSID(t *testing.T) {
	// a namespace that has no name: it lives as long as the process
	other := exec.Command("unshare", "--net", "sh", "-c", "echo; read line")
	input, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := output.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	pid := fmt.Sprint(other.Process.Pid)
	p := start(t, "nsid", pid)
	p.expect(t, "process "+pid+" is in a namespace without an id", "now it is 0")
	again := start(t, "nsid", pid)
	again.expect(t, "process "+pid+" is in the namespace that is 0 here")
	input.Close()
	other.Wait()
	p.expect(t, "0 is gone")
	p.ends(t)
	again.expect(t, "0 is gone")
	again.ends(t)
	refuses(t, 1, "invalid argument", "nsid", "0")
}

func TestEnter(t *testing.T) {
	ipNetns(t, "add", "before")
	p := start(t, "enter", "readlink", "/proc/self/ns/net")
	p.expect(t, "in before:", namespace(t, "before"))
	ipNetns(t, "add", "blue")
	p.expect(t, "in blue:", namespace(t, "blue"))
	p.Process.Signal(os.Interrupt)
	p.ends(t)
	ipNetns(t, "del", "blue")
	ipNetns(t, "del", "before")
	refuses(t, 2, "usage", "enter")
}
