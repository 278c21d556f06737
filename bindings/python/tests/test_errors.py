"""Exceptions."""

import errno
import os
import pickle
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nswatch import _errors

from .support import TestCase, Watcher, nswatch, python


class Errors(TestCase):
    def test_one_class_for_all_and_those_of_python(self) -> None:
        with self.assertRaises(nswatch.Error) as caught:
            Watcher(dir="/run/nowhere", parent=False)
        error = caught.exception
        self.assertIsInstance(error, FileNotFoundError)
        self.assertIsInstance(error, OSError)
        self.assertEqual((error.errno, error.filename), (errno.ENOENT, "/run/nowhere"))
        self.assertIn("no such file, name or nsid", str(error))

    def test_every_class_of_python_that_applies(self) -> None:
        for number in errno.errorcode:
            ours, pythons = _errors.error(number), OSError(number, "")
            self.assertIsInstance(ours, nswatch.Error)
            self.assertEqual(ours.errno, number)
            if number in (
                errno.EPERM,
                errno.EACCES,
                errno.ENOENT,
                errno.EEXIST,
                errno.ENOTDIR,
                errno.ESRCH,
                errno.EAGAIN,
            ):
                self.assertIsInstance(ours, type(pythons))
            self.assertEqual(isinstance(ours, ValueError), number == errno.EINVAL)
            self.assertEqual(pickle.loads(pickle.dumps(ours)).args, ours.args)

    def test_a_relative_directory(self) -> None:
        with self.assertRaises(nswatch.Error) as caught:
            Watcher(dir="relative")
        error = caught.exception
        self.assertIsInstance(error, ValueError)
        self.assertEqual((error.errno, error.filename), (errno.EINVAL, "relative"))
        sentence = "cannot watch relative: the path must be absolute, without a NUL byte"
        self.assertEqual((error.strerror, str(error)), (sentence, f"[Errno 22] {sentence}"))

    def test_not_a_directory(self) -> None:
        with self.assertRaises(NotADirectoryError):
            Watcher(dir="/proc/version/x")

    def test_no_descriptor_left(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        fd = os.open("/dev/null", os.O_RDONLY)
        os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (fd + 1, hard))
        try:
            with self.assertRaises(nswatch.Error) as caught:
                Watcher()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertEqual(caught.exception.errno, errno.EMFILE)
        self.assertIn("fs.inotify.max_user_instances", str(caught.exception))

    def test_arguments_that_cannot_be_right(self) -> None:
        arguments: tuple[dict[str, Any], ...] = (
            {"source": "other"},
            {"source": "nsid", "dir": "/run"},
            {"source": "nsid", "settle": 1},
            {"source": "nsid", "parent": False},
            {"source": "nsid", "symlinks": False},
            {"source": "nsid", "max_names": 1},
            {"source": "all", "dir": "/run"},
            {"source": "all", "parent": False},
            {"source": "all", "dir_events": True},
            {"source": "all", "mount_events": False},
            {"source": "all", "symlinks": False},
            {"source": "all", "settle": 1},
            {"source": "all", "all_nsid": True},
            {"source": "all", "rcvbuf": 1},
            {"max_names": -1},
            {"max_names": 1 << 32},
            {"all_nsid": True},
            {"rcvbuf": 4096},
            {"dir": "/run/\0"},
            {"settle": -1},
            {"settle": 1e9},
            {"queue": 1, "queue_policy": "other"},
            {"queue": -1},
            {"queue": 1 << 32},
        )
        for wrong in arguments:
            with self.subTest(wrong), self.assertRaises(ValueError):
                Watcher(**wrong)

    def test_each_has_a_sentence_of_its_own(self) -> None:
        arguments: tuple[tuple[str, dict[str, Any]], ...] = (
            ("cannot make a queue: the capacity must be 1 to 1048576 events", {"queue": 0}),
            ("the capacity must be 1 to 1048576 events", {"queue": -1}),
            ("the capacity must be 1 to 1048576 events", {"queue": 1 << 32}),
            ("cannot watch netns: the path must be absolute", {"dir": "netns"}),
            ("cannot settle for -1 seconds: the time must not be negative", {"settle": -1}),
            ("cannot settle for nan seconds: the time must not be negative", {"settle": float("nan")}),
            ("use the option dir: a watcher of nsids does not have it", {"source": "nsid", "dir": "/run"}),
            ("use the option settle: a watcher of every namespace does not", {"source": "all", "settle": 1}),
            ("use the option all_nsid: a watcher of names does not have it", {"all_nsid": True}),
        )
        for sentence, wrong in arguments:
            with self.subTest(wrong), self.assertRaisesRegex(ValueError, sentence):
                Watcher(**wrong)

    def test_every_failure_names_the_attempt_and_its_object(self) -> None:
        netns = nswatch.Netns(1, 2)
        with open("/dev/null") as null:
            fd = null.fileno()
            cases: tuple[tuple[str, str | None, Callable[[], object]], ...] = (
                ("cannot identify the namespace of red: ", "red", lambda: nswatch.Netns.for_name("red")),
                (r"cannot identify the namespace of a\x20b: ", "a b", lambda: nswatch.Netns.for_name("a b")),
                (f"cannot identify the namespace of file descriptor {fd}: ", None, lambda: nswatch.Netns.for_fd(fd)),
                (f"cannot identify the namespace of pidfd {fd}: ", None, lambda: nswatch.Netns.for_pidfd(fd)),
                ("cannot identify the namespace of process 0: ", None, lambda: nswatch.Netns.for_pid(0)),
                ("cannot identify the namespace of nsid 4711: ", None, lambda: nswatch.Netns.for_nsid(4711)),
                ("cannot open the namespace /run/red: ", "/run/red", netns.open("/run/red").__enter__),
                ("cannot open the namespace net:[2]: ", None, netns.open().__enter__),
                ("cannot look for the namespace net:[2]: ", None, netns.is_alive),
                ("cannot ask for the nsid of red: ", "red", lambda: nswatch.nsid_for_name("red")),
                ("cannot ask for the nsid of process 0: ", None, lambda: nswatch.nsid_for_pid(0)),
                (f"cannot ask for the nsid of file descriptor {fd}: ", None, lambda: nswatch.nsid_for_fd(fd)),
                (f"cannot ask for the nsid of pidfd {fd}: ", None, lambda: nswatch.nsid_for_pidfd(fd)),
                (
                    f"cannot ask for the nsid of file descriptor {fd} as seen from file descriptor -1: ",
                    None,
                    lambda: nswatch.nsid_as_seen_from(-1, fd),
                ),
                (f"cannot assign an nsid to file descriptor {fd}: ", None, lambda: nswatch.assign_nsid(fd)),
                ("cannot translate nsid 0 of the peer 4711: ", None, lambda: nswatch.translate_nsid(0, 4711)),
            )
            for text, path, attempt in cases:
                with self.subTest(text), self.assertRaises(nswatch.Error) as caught:
                    attempt()
                error = caught.exception
                self.assertEqual(error.strerror, text + str(_errors.error(error.errno or 0).strerror))
                self.assertEqual(str(error), f"[Errno {error.errno}] {error.strerror}")
                self.assertEqual(error.filename, path)

    def test_a_watcher_has_its_sentence(self) -> None:
        directory = Path("/run/netns/inner")
        directory.mkdir(parents=True)
        with Watcher(dir=directory, parent=False, replay=False) as watcher:
            directory.rmdir()
            self.assertEqual([str(event.type) for event in watcher], ["dir_deleted"])
            with self.assertRaises(FileNotFoundError) as caught:
                watcher.poll()
        self.assertEqual(caught.exception.filename, str(directory))
        self.assertIn(f"[Errno 2] cannot continue watching {directory}: no such file", str(caught.exception))

    def test_a_missing_library(self) -> None:
        for library, text in (
            ("/nowhere/libnswatch.so.0", b"set NSWATCH_LIBRARY to its path"),
            ("libc.so.6", b"libc.so.6 is older than this package: it has no nsw_open()"),
        ):
            program = python("-c", f"import os; os.environ['NSWATCH_LIBRARY'] = {library!r}; import nswatch")
            out, err = program.communicate(timeout=20)
            self.assertEqual((out, program.returncode), (b"", 1))
            self.assertIn(b"ImportError", err)
            self.assertIn(text, err)
