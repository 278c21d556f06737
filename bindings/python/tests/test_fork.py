"""In a child of os.fork() every call on the parent's watcher but close() raises an error."""

from .support import DEADLINE, TestCase, ip_netns, python

PROGRAM = """
import asyncio, errno, os, sys, threading
import nswatch

queue = int(sys.argv[1]) or None
watcher = nswatch.Watcher(queue=queue)

# another thread holds the lock, as in a call of the library: in the child it stays locked
held, over = threading.Event(), threading.Event()
def hold():
    with watcher._lock:
        held.set()
        over.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()

uses = [
    watcher.poll,
    lambda: watcher.poll(0),
    watcher.fileno,
    watcher.resync,
    lambda: watcher.stats,
    lambda: next(watcher),
    lambda: asyncio.run(watcher.__anext__()),
]
using = os.fork()
if using == 0:
    for use in uses:
        try:
            use()
        except RuntimeError as error:
            assert "belongs to process" in str(error), error
        else:
            raise AssertionError(use)
    # bypasses the check of the binding, as if both were process 1 of a pid namespace
    try:
        nswatch._errors.check(nswatch._ffi.lib.nsw_resync(watcher._handle), "compare")
    except ChildProcessError as error:
        assert isinstance(error, nswatch.Error) and error.errno == errno.ECHILD, error
    else:
        raise AssertionError("resync")
    with nswatch.Watcher() as own:
        print("child", len([own.poll() for _ in range(3)]), flush=True)
    watcher.close()
    watcher.close()
    sys.exit()
forgetting = os.fork()
if forgetting == 0:
    del uses, watcher
    sys.exit()
over.set()
thread.join()
for child in (using, forgetting):
    assert os.waitpid(child, 0)[1] == 0
print("parent", len([watcher.poll() for _ in range(3)]))
watcher.close()
"""

WITHOUT_HOOKS = """
import ctypes, os
import nswatch

def descriptors():
    return len(os.listdir("/proc/self/fd"))

watcher = nswatch.Watcher()
child = ctypes.PyDLL(None).fork()
if child == 0:
    before = descriptors()
    nswatch.Watcher().close()
    print(descriptors() - before, flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
watcher.close()
"""


class Fork(TestCase):
    def test_a_child_leaves_the_watcher_to_its_parent(self) -> None:
        ip_netns("add", "blue")
        for queue in (0, 16):
            with self.subTest(queue=queue):
                # Python itself warns of a fork beside threads, from 3.12 on
                program = python("-X", "dev", "-W", "ignore::DeprecationWarning", "-c", PROGRAM, str(queue))
                self.addCleanup(program.communicate)
                self.addCleanup(program.kill)
                out, err = program.communicate(timeout=DEADLINE)
                self.assertEqual((out, err, program.returncode), (b"child 3\nparent 3\n", b"", 0))

    def test_a_child_of_a_fork_without_hooks_closes_its_own(self) -> None:
        program = python("-X", "dev", "-c", WITHOUT_HOOKS)
        self.addCleanup(program.communicate)
        self.addCleanup(program.kill)
        out, err = program.communicate(timeout=DEADLINE)
        self.assertEqual((out, err, program.returncode), (b"0\n", b"", 0))
