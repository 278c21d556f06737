/*
 * How long after mount(2) has returned is a namespace told as ready? nswatch beside a raw loop of the same system
 * calls, alternating in one run. Prints a line of microseconds for each:
 *
 *     readiness [ROUNDS [NAMES]]
 *
 * Run it in tests/sandbox. The maker works as `ip netns add` does: the name first, then a new namespace mounted on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <nswatch.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define DIR "/run/netns"
#define MOST 10000
#define NSFS_MAGIC 0x6e736673
/* Linux 6.15; older headers lack them */
#define MARK_MNTNS 0x110
#define REPORT_MNT 0x4000
#define MNT_ATTACH 0x01000000ull

static int names;
static int64_t mounted[MOST], told[MOST];

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void need(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static void pause_us(long us)
{
	struct timespec t = { 0, us * 1000 };

	nanosleep(&t, NULL);
}

static void *make(void *unused)
{
	char path[64];

	/* the watcher is to be waiting */
	pause_us(20000);
	for (int i = 0; i < names; i++) {
		snprintf(path, sizeof(path), DIR "/%d", i);
		close(open(path, O_RDONLY | O_CREAT | O_EXCL, 0));
		need(unshare(CLONE_NEWNET) == 0, "unshare");
		need(mount("/proc/thread-self/ns/net", path, "none", MS_BIND, NULL) == 0, "mount");
		mounted[i] = now();
		pause_us(2000 + i % 4 * 1000);
	}
	return unused;
}

static void by_nswatch(void)
{
	nsw_watcher *watcher;
	const nsw_event *event;
	int left = names;

	need(nsw_open(NSW_SOURCE_NAMED, NULL, &watcher) == 0, "nsw_open");
	while (left > 0 && nsw_wait_event(watcher, -1, &event) == 1) {
		if (nsw_event_type(event) == NSW_EVENT_READY) {
			told[atoi(nsw_event_name(event))] = now();
			left--;
		}
	}
	nsw_close(watcher);
}

/* The least that can be done: inotify for the names, fanotify for the mounts, statfs for the one that waits. */
static void by_hand(void)
{
	char buffer[4096], path[64];
	int waiting = 0, created = 0; /* in the order of their names */
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };

	fds[0].fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	need(inotify_add_watch(fds[0].fd, DIR, IN_CREATE) >= 0, "inotify_add_watch");
	fds[1].fd = fanotify_init(REPORT_MNT | FAN_NONBLOCK | FAN_CLOEXEC, 0);
	need(fanotify_mark(fds[1].fd, FAN_MARK_ADD | MARK_MNTNS, MNT_ATTACH, AT_FDCWD, "/proc/self/ns/mnt") == 0,
	     "fanotify_mark");
	while (waiting < names && poll(fds, 2, -1) > 0) {
		struct statfs fs;
		ssize_t n = read(fds[0].fd, buffer, sizeof(buffer));

		for (char *at = buffer; n > 0 && at < buffer + n;) {
			struct inotify_event *event = (struct inotify_event *)at;

			created = atoi(event->name) + 1;
			at += sizeof(*event) + event->len;
		}
		while (read(fds[1].fd, buffer, sizeof(buffer)) > 0)
			;
		for (; waiting < created; waiting++) {
			snprintf(path, sizeof(path), DIR "/%d", waiting);
			if (statfs(path, &fs) != 0 || fs.f_type != NSFS_MAGIC)
				break;
			told[waiting] = now();
		}
	}
	close(fds[0].fd);
	close(fds[1].fd);
}

static int compare(const void *a, const void *b)
{
	int64_t difference = *(const int64_t *)a - *(const int64_t *)b;

	return (difference > 0) - (difference < 0);
}

static void measure(const char *who, void (*watch)(void))
{
	int64_t late[MOST];
	pthread_t maker;
	char path[64];

	need(pthread_create(&maker, NULL, make, NULL) == 0, "pthread_create");
	watch();
	pthread_join(maker, NULL);
	for (int i = 0; i < names; i++) {
		late[i] = told[i] - mounted[i];
		snprintf(path, sizeof(path), DIR "/%d", i);
		umount2(path, MNT_DETACH);
		unlink(path);
	}
	qsort(late, names, sizeof(late[0]), compare);
	printf("%-8s p50 %7.1f us   p90 %7.1f us   p99 %7.1f us   max %7.1f us\n", who, late[names / 2] / 1e3,
	       late[names * 90 / 100] / 1e3, late[names * 99 / 100] / 1e3, late[names - 1] / 1e3);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 3;

	names = argc > 2 ? atoi(argv[2]) : 300;
	need(names > 0 && names <= MOST, "names");
	need(mkdir(DIR, 0755) == 0 || errno == EEXIST, DIR);
	for (int round = 0; round < rounds; round++) {
		measure("by hand", by_hand);
		measure("nswatch", by_nswatch);
	}
	return 0;
}
