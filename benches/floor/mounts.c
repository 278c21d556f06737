/*
 * An unrelated change of a mount: what it costs more with 1000 names that never become namespaces, or with 1000 that are
 * namespaces, than with none. By fanotify, and by AIO, the fallback of an ordinary user. The watchers take turns on the same
 * changes.
 */
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAMES 1000
#define CHANGES 20
#define DIRS 3

enum { NONE, STALE, KNOWN };

static const char *const dirs[DIRS] = { "/run/none", "/run/stale", "/run/known" };

static void make(int dir)
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

/* On a thread of its own, which alone gives up its capability. */
static void *open_on_thread(void *argument)
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

/* Takes all events; returns the microseconds. */
static double read_change(nsw_watcher *watcher)
{
	struct pollfd entry = { nsw_fd(watcher), POLLIN, 0 };
	int64_t began;

	need(poll(&entry, 1, 1000) == 1, "poll: not woken, so mount events are not the default here");
	began = cpu_ns();
	need(drain(watcher) == 0, "no event");
	return (cpu_ns() - began) / 1e3;
}

static void measure(int by_aio, int rounds, double target)
{
	struct pair more[DIRS] = { { .n = 0 } };
	nsw_watcher *watchers[DIRS];
	char figure[64];

	for (int dir = 0; dir < DIRS; dir++) {
		struct opening opening = { dirs[dir], by_aio, NULL };
		pthread_t thread;

		need(pthread_create(&thread, NULL, open_on_thread, &opening) == 0, "pthread_create");
		pthread_join(thread, NULL);
		watchers[dir] = opening.watcher;
	}
	for (int round = 0; round < rounds; round++) {
		double times[DIRS][CHANGES], medians[DIRS];

		for (int i = 0; i < CHANGES; i++) {
			if (i % 2 == 0)
				need(mount("other", "/run/other", "tmpfs", 0, NULL) == 0, "mount");
			else
				need(umount2("/run/other", MNT_DETACH) == 0, "umount");
			for (int turn = 0; turn < DIRS; turn++)
				times[(i + turn) % DIRS][i] = read_change(watchers[(i + turn) % DIRS]);
		}
		for (int dir = 0; dir < DIRS; dir++)
			medians[dir] = percentile(times[dir], CHANGES, 0.5);
		for (int dir = STALE; dir < DIRS; dir++)
			sample(&more[dir], medians[dir], medians[NONE]);
	}
	for (int dir = 0; dir < DIRS; dir++)
		nsw_close(watchers[dir]);
	for (int dir = STALE; dir < DIRS; dir++) {
		snprintf(figure, sizeof(figure), "change of a mount by %s, %d %s names against none",
			 by_aio ? "AIO" : "fanotify", NAMES, dir == STALE ? "stale" : "known");
		report(figure, "us", &more[dir], MORE, target);
	}
}

void measure_mounts(int rounds)
{
	need(mkdir("/run/other", 0755) == 0, "/run/other");
	for (int dir = 0; dir < DIRS; dir++)
		make(dir);
	if (nsw_feature(NSW_FEATURE_MOUNT_EVENTS) == 1)
		measure(0, rounds, 5);
	measure(1, rounds, 50);
	for (int dir = 0; dir < DIRS; dir++) {
		char path[64];

		for (int i = 0; dir != NONE && i < NAMES; i++) {
			snprintf(path, sizeof(path), "%s/name-%04d", dirs[dir], i);
			need((dir != KNOWN || umount2(path, MNT_DETACH) == 0) && unlink(path) == 0, path);
		}
		need(rmdir(dirs[dir]) == 0, dirs[dir]);
	}
	need(rmdir("/run/other") == 0, "/run/other");
}
