"""Features, compared with other evidence that they are available."""

import concurrent.futures
import errno
import os
import resource

from nswatch import Feature

from .support import DEADLINE, EventType, TestCase, drop_capabilities, ip_netns, nswatch


class Features(TestCase):
    def test_each_is_available_or_not(self) -> None:
        release = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))
        for which in Feature:
            self.assertIn(nswatch.feature(which), (True, False))
        # these depend only on the version
        for which, since in ((Feature.COOKIE, (6, 18)), (Feature.MOUNT_ID, (6, 8))):
            self.assertEqual(nswatch.feature(which), release >= since, which)

    def test_a_cookie_is_reported_where_namespaces_have_one(self) -> None:
        ip_netns("add", "blue")
        with nswatch.Watcher() as watcher:
            ready = next(event for event in watcher if event.type == EventType.READY)
        self.assertEqual(ready.cookie is not None, nswatch.feature(Feature.COOKIE))

    def test_of_the_calling_thread(self) -> None:
        def without() -> bool:
            drop_capabilities()
            return nswatch.feature(Feature.ALL_NSID)

        self.assertTrue(nswatch.feature(Feature.ALL_NSID))
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            self.assertFalse(thread.submit(without).result(DEADLINE))

    def test_a_limit_is_no_answer(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        fd = os.open("/dev/null", os.O_RDONLY)
        os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (fd, hard))
        try:
            with self.assertRaises(nswatch.Error) as caught:
                nswatch.feature(Feature.ALL_NSID)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertEqual(caught.exception.errno, errno.EMFILE)
