# Steps of the scenarios that sh and ip cannot do.

# exchange ONE OTHER: exchanges two names
exchange() {
    python3 -c '
import ctypes, os, sys
one, other = map(os.fsencode, sys.argv[1:])
AT_FDCWD, RENAME_EXCHANGE = -100, 2
if ctypes.CDLL(None, use_errno=True).renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE):
    sys.exit(os.strerror(ctypes.get_errno()))
' "$1" "$2"
}

# storm DIR: more events than a queue of inotify holds, about names that are gone at the end
storm() {
    python3 -c '
import os, sys
for n in range(int(open("/proc/sys/fs/inotify/max_queued_events").read()) // 2 + 50):
    path = f"{sys.argv[1]}/storm{n}"
    os.mknod(path)
    os.unlink(path)
' "$1"
}

# process FILE: leaves a process in a network namespace without a name, and writes its pid to the file
process() {
    ip netns add "$(basename "$1")"
    # shellcheck disable=SC2016 # for the inner shell
    ip netns exec "$(basename "$1")" sh -c 'sleep 1000 < /dev/null > /dev/null 2>&1 & echo $! > "$1"' sh "$1"
    ip netns del "$(basename "$1")"
}

# die FILE: ends that process, and waits for its end
die() {
    python3 -c '
import os, select, signal, sys
process = os.pidfd_open(int(open(sys.argv[1]).read()))
signal.pidfd_send_signal(process, signal.SIGTERM)
if not select.select([process], [], [], 20)[0]:
    sys.exit("it lives on")
' "$1"
}

# birth FILE: a process makes a network namespace for itself; its pid is in the file
# birth_in_thread FILE: the second thread of a process makes one; the number of the thread is in FILE-thread
birth() {
    python3 -c '
import ctypes, os, sys, threading
file, in_thread = sys.argv[1], len(sys.argv) > 2
CLONE_NEWNET = 0x40000000
born, ready = os.pipe()

def enter():
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        os.write(ready, os.strerror(ctypes.get_errno()).encode())
    elif in_thread:
        with open(f"{file}-thread", "w") as noted:
            print(threading.get_native_id(), file=noted)
        os.write(ready, b".")
        threading.Event().wait()

child = os.fork()
if child == 0:
    os.setsid()
    for fd in range(3):
        os.dup2(os.open("/dev/null", os.O_RDWR), fd)
    if in_thread:
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
    else:
        enter()
        os.write(ready, b".")
        os.execlp("sleep", "sleep", "1000")
os.close(ready)
with open(file, "w") as noted:
    print(child, file=noted)
status = os.read(born, 100)
if status != b".":
    sys.exit(status.decode())
' "$@"
}

birth_in_thread() {
    birth "$1" in-thread
}
