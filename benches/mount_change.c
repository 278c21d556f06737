/*
 * Measures the cost of an unrelated change of a mount with 1000 names that never become namespaces, and with 1000 that are
 * namespaces, beyond the cost with none. By fanotify, and by AIO, the fallback of an ordinary user. Watchers take turns in
 * one process, on the same changes. As root:
 *
 *     tests/sandbox mount_change [ROUNDS]
 */
#include <nswatch.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NAMES 1000
#define MOST 2000
#define DIRS 3

enum { NONE, STALE, KNOWN };

static const char *const dirs[DIRS] = { "/run/none", "/run/stale", "/run/known" };

static void need(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static void make_names(int dir)
{
	char path[64];

	need(mkdir(dirs[dir], 0755) == 0, dirs[dir]);
	for (int i = 0; dir != NONE && i < NAMES; i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/name-%04d", dirs[dir], i);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0);
		need(fd >= 0 && close(fd) == 0, path);
		if (dir == KNOWN)
			need(mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) == 0, path);
	}
}

static void drop_sys_admin(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	need(syscall(SYS_capget, &header, data) == 0, "capget");
	data[0].effective &= ~(1u << CAP_SYS_ADMIN);
	need(syscall(SYS_capset, &header, data) == 0, "capset");
}

struct opening {
	const char *dir;
	int by_aio;
	nsw_watcher *watcher;
};

/* In a thread of its own, since capabilities belong to a thread. */
static void *open_watcher(void *argument)
{
	struct opening *opening = argument;
	nsw_options *options = nsw_options_new();

	if (opening->by_aio)
		drop_sys_admin();
	need(nsw_options_set_dir(options, opening->dir) == 0 && nsw_options_set_flags(options, NSW_NO_REPLAY) == 0,
	     "options");
	errno = -nsw_open(NSW_SOURCE_NAMED, options, &opening->watcher);
	need(errno == 0, "nsw_open");
	nsw_options_free(options);
	return NULL;
}

static double cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

/* Takes all events; returns the microseconds. */
static double read_change(nsw_watcher *watcher)
{
	struct pollfd entry = { nsw_fd(watcher), POLLIN, 0 };
	const nsw_event *event;
	double began;

	need(poll(&entry, 1, 1000) == 1, "poll: not woken, so mount events are not the default here");
	began = cpu_us();
	need(nsw_next_event(watcher, &event) == 0, "nsw_next_event");
	return cpu_us() - began;
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int measure(int by_aio, int changes, double target)
{
	static double times[DIRS][MOST];
	nsw_watcher *watchers[DIRS];
	double median[DIRS];
	int missed = 0;

	for (int dir = 0; dir < DIRS; dir++) {
		struct opening opening = { dirs[dir], by_aio, NULL };
		pthread_t thread;

		need(pthread_create(&thread, NULL, open_watcher, &opening) == 0, "pthread_create");
		pthread_join(thread, NULL);
		watchers[dir] = opening.watcher;
	}
	for (int i = 0; i < changes; i++) {
		if (i % 2 == 0)
			need(mount("other", "/run/other", "tmpfs", 0, NULL) == 0, "mount");
		else
			need(umount2("/run/other", MNT_DETACH) == 0, "umount");
		for (int turn = 0; turn < DIRS; turn++)
			times[(i + turn) % DIRS][i] = read_change(watchers[(i + turn) % DIRS]);
	}
	for (int dir = 0; dir < DIRS; dir++) {
		qsort(times[dir], changes, sizeof(double), order);
		median[dir] = times[dir][changes / 2];
		nsw_close(watchers[dir]);
	}
	for (int dir = STALE; dir < DIRS; dir++) {
		double more = median[dir] - median[NONE];

		printf("%s, %d %s names: %.1f us a change, %.1f with none: %+.1f, target <= %.0f: %s\n",
		       by_aio ? "AIO" : "fanotify", NAMES, dir == STALE ? "stale" : "known", median[dir], median[NONE],
		       more, target, more <= target ? "met" : "MISSED");
		missed |= more > target;
	}
	return missed;
}

int main(int argc, char **argv)
{
	int changes = argc > 1 ? atoi(argv[1]) : 1000;
	int missed = 0;

	need(changes > 0 && changes <= MOST && changes % 2 == 0, "ROUNDS");
	need(mkdir("/run/other", 0755) == 0, "/run/other");
	for (int dir = 0; dir < DIRS; dir++)
		make_names(dir);
	if (nsw_feature(NSW_FEATURE_MOUNT_EVENTS) == 1)
		missed |= measure(0, changes, 5);
	missed |= measure(1, changes, 50);
	return missed;
}
