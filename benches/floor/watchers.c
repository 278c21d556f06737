/* The watcher itself: its memory, opening and closing it, many at once. */
#include "floor.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define KNOWN 10000
#define IDLE 50
#define OPENINGS 10

static double per_idle(uint32_t source)
{
	nsw_watcher *watchers[IDLE];
	double before;

	/* excludes the allocations that the first watcher makes for all */
	nsw_close(open_watcher(source));
	before = heap();
	for (int i = 0; i < IDLE; i++) {
		watchers[i] = open_watcher(source);
		drain(watchers[i]);
	}
	before = heap() - before;
	for (int i = 0; i < IDLE; i++)
		nsw_close(watchers[i]);
	return before / IDLE;
}

static double per_name(int links)
{
	nsw_watcher *none = open_watcher(NSW_SOURCE_NAMED), *watcher;
	double empty, full;

	empty = heap();
	nsw_close(none);
	empty -= heap();
	make_names("name", KNOWN, links);
	full = heap();
	watcher = open_watcher(NSW_SOURCE_NAMED);
	drain(watcher);
	full = heap() - full - empty;
	nsw_close(watcher);
	remove_names("name", KNOWN);
	return full / KNOWN;
}

void measure_memory(int rounds)
{
	(void)rounds;
	report_alone("heap of an idle watcher of names", "bytes", per_idle(NSW_SOURCE_NAMED), 32 * 1024);
	report_alone("heap of an idle watcher of ids", "bytes", per_idle(NSW_SOURCE_NSID), 32 * 1024);
	report_alone("heap of an idle watcher of all namespaces", "bytes", per_idle(NSW_SOURCE_ALL), 32 * 1024);
	report_alone("heap of a known namespace's name (10 bytes)", "bytes", per_name(1), 160);
	report_alone("heap of a known plain name (10 bytes)", "bytes", per_name(0), 160);
}

/* The system calls of a watcher that is opened on an empty directory, polled once, and closed. */
static void open_raw(void)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), names = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int flag = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), step = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	static const char *const way[] = { "/", "/run", NETNS };
	uint64_t value = 1;
	struct stat st;
	char buffer[4096];
	DIR *dir;

	need(epoll >= 0 && names >= 0 && flag >= 0 && step >= 0, "descriptors");
	for (int i = 0; i < 3; i++) {
		need(stat(way[i], &st) == 0, way[i]);
		need(inotify_add_watch(names, way[i], IN_CREATE | IN_DELETE | IN_MOVE | IN_DELETE_SELF) > 0, way[i]);
	}
	need(epoll_ctl(epoll, EPOLL_CTL_ADD, names, &event) == 0, "epoll_ctl");
	need(epoll_ctl(epoll, EPOLL_CTL_ADD, flag, &event) == 0, "epoll_ctl");
	dir = opendir(NETNS);
	need(dir != NULL, NETNS);
	while (readdir(dir))
		;
	closedir(dir);
	need(write(flag, &value, sizeof(value)) == 8 && read(flag, &value, sizeof(value)) == 8, "eventfd");
	need(read(names, buffer, sizeof(buffer)) < 0, "an empty queue");
	close(step);
	close(flag);
	close(names);
	close(epoll);
}

static void open_ours(void)
{
	nsw_watcher *watcher = open_watcher(NSW_SOURCE_NAMED);

	drain(watcher);
	nsw_close(watcher);
}

/*
 * Removing a watch may wait in the kernel for up to ten milliseconds, depending on the watches removed before. So this is
 * the mean of several, in turns, each first in turn.
 */
void measure_open(int rounds)
{
	struct pair pair = { .n = 0 };

	for (int round = 0; round < rounds; round++) {
		double took[2] = { 0, 0 };

		for (int i = 0; i < 2 * OPENINGS; i++) {
			int who = (i ^ i / 2) % 2;
			int64_t began = now_ns();

			if (who)
				open_raw();
			else
				open_ours();
			took[who] += (now_ns() - began) / 1e3 / OPENINGS;
		}
		sample(&pair, took[0], took[1]);
	}
	report("open and close", "us", &pair, RATIO, 2);
}

/* 1000, or the limit of fs.inotify.max_user_instances for this user, halved for the raw loops. */
static int room_for_watchers(void)
{
	FILE *file = fopen("/proc/sys/fs/inotify/max_user_instances", "r");
	int limit = 128;

	need(file != NULL && fscanf(file, "%d", &limit) == 1, "max_user_instances");
	fclose(file);
	return limit > 2100 ? 1000 : limit / 2 - 14;
}

/* Many watchers of one directory: the time until each has reported the changes of one name, and to close each. */
void measure_watchers(int rounds)
{
	int count = room_for_watchers();
	nsw_watcher **watchers = calloc(count, sizeof(*watchers));
	struct raw *raws = calloc(count, sizeof(*raws));
	struct pair pair = { .n = 0 }, closing = { .n = 0 };
	char figure[64];
	int64_t began, between;

	need(watchers && raws, "calloc");
	for (int i = 0; i < count; i++) {
		watchers[i] = open_watcher(NSW_SOURCE_NAMED);
		drain(watchers[i]);
		raw_open(&raws[i]);
	}
	for (int round = 0; round < rounds; round++) {
		int64_t t0, t1, t2;

		make_names("all", 5, 0);
		remove_names("all", 5);
		t0 = cpu_ns();
		for (int i = 0; i < count; i++)
			need(drain(watchers[i]) == 10, "each watcher reports all");
		t1 = cpu_ns();
		for (int i = 0; i < count; i++)
			need(raw_drain(&raws[i]) == 10, "each raw loop sees all");
		t2 = cpu_ns();
		sample(&pair, (t1 - t0) / 1e3 / count, (t2 - t1) / 1e3 / count);
	}
	began = now_ns();
	for (int i = 0; i < count; i++)
		nsw_close(watchers[i]);
	between = now_ns();
	for (int i = 0; i < count; i++)
		raw_close(&raws[i]);
	sample(&closing, (between - began) / 1e3 / count, (now_ns() - between) / 1e3 / count);
	free(watchers);
	free(raws);
	snprintf(figure, sizeof(figure), "10 events in a wake-up, each of %d watchers", count);
	report(figure, "us", &pair, RATIO, 0);
	snprintf(figure, sizeof(figure), "close, each of %d watchers", count);
	report(figure, "us", &closing, RATIO, 0);
}
