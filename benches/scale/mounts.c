/* Mounts in the mount namespace, and the cost of an unrelated change of one. */
#include "scale.h"

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
#include <unistd.h>

#define CHANGES 40
#define WATCHERS 3
#define MOUNTS "/run/mounts"

struct opening {
	const char *curve;
	uint32_t source;
	int by_aio;
	nsw_watcher *watcher;
};

/* In a thread of its own, since capabilities belong to a thread. */
static void *open_one(void *argument)
{
	struct opening *opening = argument;

	if (opening->by_aio) {
		struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
		struct __user_cap_data_struct data[2];

		need(syscall(SYS_capget, &header, data) == 0, "capget");
		data[0].effective &= ~(1u << CAP_SYS_ADMIN);
		need(syscall(SYS_capset, &header, data) == 0, "capset");
	}
	opening->watcher = open_watcher(opening->source);
	take_all(opening->watcher);
	return NULL;
}

static void make_mounts(int from, int to)
{
	char path[64];

	for (int i = from; i < to; i++) {
		int fd;

		snprintf(path, sizeof(path), MOUNTS "/%d", i);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0);
		need(fd >= 0 && close(fd) == 0 && mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) == 0, path);
	}
}

/* The processor time of one watcher for one change, in microseconds. */
static double read_change(nsw_watcher *watcher)
{
	struct pollfd entry = { nsw_fd(watcher), POLLIN, 0 };
	int64_t took = 0;

	while (poll(&entry, 1, 3) == 1) {
		int64_t began = cpu_ns();

		take_all(watcher);
		took += cpu_ns() - began;
	}
	return took / 1e3;
}

void scale_mounts(void)
{
	static const int counts[] = { 0, 100, 1000, 10000 };
	struct opening openings[WATCHERS] = {
		{ .curve = "names, by fanotify", .source = NSW_SOURCE_NAMED },
		{ .curve = "names, by AIO", .source = NSW_SOURCE_NAMED, .by_aio = 1 },
		{ .curve = "all namespaces", .source = NSW_SOURCE_ALL },
	};
	double times[WATCHERS][CHANGES];
	int mounts = 0;

	need(mkdir("/run/other", 0755) == 0 && mkdir(MOUNTS, 0755) == 0, "directories");
	need(mount("mounts", MOUNTS, "tmpfs", 0, NULL) == 0, MOUNTS);
	/* a name that is a namespace, so that the watchers of names listen to mounts */
	make_names("known", 1, 0);
	need(mount("/proc/self/ns/net", NETNS "/known-00000", NULL, MS_BIND, NULL) == 0, "mount");
	for (int c = 0; c < 4; c++) {
		make_mounts(mounts, counts[c]);
		mounts = counts[c];
		for (int i = 0; i < WATCHERS; i++) {
			pthread_t thread;

			need(pthread_create(&thread, NULL, open_one, &openings[i]) == 0, "pthread_create");
			pthread_join(thread, NULL);
		}
		for (int change = 0; change < CHANGES; change++) {
			if (change % 2 == 0)
				need(mount("other", "/run/other", "tmpfs", 0, NULL) == 0, "mount");
			else
				need(umount2("/run/other", MNT_DETACH) == 0, "umount");
			for (int i = 0; i < WATCHERS; i++) {
				times[i][change] = read_change(openings[i].watcher);
				/* a watcher of all namespaces uses at most a quarter of a processor, and delays the next look */
				if (openings[i].source == NSW_SOURCE_ALL)
					pause_us(4 * times[i][change]);
			}
		}
		for (int i = 0; i < WATCHERS; i++) {
			point(openings[i].curve, mounts, percentile(times[i], CHANGES, 0.5));
			nsw_close(openings[i].watcher);
		}
	}
	need(umount2(MOUNTS, MNT_DETACH) == 0 && umount2(NETNS "/known-00000", MNT_DETACH) == 0, "umount");
	remove_names("known", 1);
}
