/* Many watchers, of one directory and of all namespaces: opening, the same change reported by each, closing. */
#include "scale.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>

#define MOST 1000
#define ROUNDS 5
#define FORKS 100
#define COUNTS 4

static nsw_watcher *watchers[MOST];

/* The number of bytes that the machine has available. */
static double available(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char line[128];
	long kib = 0;

	need(file != NULL, "/proc/meminfo");
	while (fgets(line, sizeof(line), file) && sscanf(line, "MemAvailable: %ld", &kib) != 1)
		;
	fclose(file);
	return kib * 1024.0;
}

/* Takes the events of all, until none comes for a moment. Elsewhere on the machine there may be no end of them. */
static void settle(int count)
{
	int64_t end = now_ns() + 2000000000ll;
	long events = 1;

	while (events > 0 && now_ns() < end) {
		pause_us(50000);
		events = 0;
		for (int i = 0; i < count; i++)
			events += take_all(watchers[i]);
	}
}

/* Opens as many as this machine permits, up to `count`. */
static int open_all(uint32_t source, int count)
{
	for (int i = 0; i < count; i++) {
		int rc = nsw_open(source, NULL, &watchers[i]);

		if (rc != 0) {
			fprintf(stderr, "scale: %d watchers of %d: %s\n", i, count, nsw_strerror(rc));
			return i;
		}
		take_all(watchers[i]);
	}
	return count;
}

struct share {
	pthread_t thread;
	int first, step, count;
};

static void *close_share(void *argument)
{
	struct share *share = argument;

	for (int i = share->first; i < share->count; i += share->step)
		nsw_close(watchers[i]);
	return NULL;
}

/* Closes all on that many threads; returns the milliseconds. */
static double close_all(int count, int threads)
{
	struct share shares[64];
	int64_t began = now_ns();

	for (int i = 0; i < threads; i++) {
		shares[i] = (struct share){ .first = i, .step = threads, .count = count };
		need(pthread_create(&shares[i].thread, NULL, close_share, &shares[i]) == 0, "pthread_create");
	}
	for (int i = 0; i < threads; i++)
		pthread_join(shares[i].thread, NULL);
	return (now_ns() - began) / 1e6;
}

/* The processor time in milliseconds until each has reported the changes of one name. */
static double report_name(int count)
{
	int64_t began;

	make_names("one", 1, 0);
	remove_names("one", 1);
	began = cpu_ns();
	for (int i = 0; i < count; i++)
		need(drain(watchers[i]) == 2, "each watcher reports all");
	return (cpu_ns() - began) / 1e6;
}

/* The same, for the birth of a namespace. */
static double report_birth(int count)
{
	struct maker maker = start_maker();
	int64_t began;
	uint64_t ino;
	double ms;

	settle(count);
	ino = make_namespace(&maker);
	began = cpu_ns();
	for (int i = 0; i < count; i++)
		until_netns(watchers[i], NSW_EVENT_NETNS_NEW, ino);
	ms = (cpu_ns() - began) / 1e6;
	end_maker(&maker);
	for (int i = 0; i < count; i++)
		until_netns(watchers[i], NSW_EVENT_NETNS_DEL, ino);
	return ms;
}

static double forks_us(void)
{
	double us[FORKS];

	for (int i = 0; i < FORKS; i++)
		us[i] = fork_us();
	return percentile(us, FORKS, 0.5);
}

static void measure(uint32_t source, const char *of, const int *counts, double (*report_one)(int))
{
	static const int threads[] = { 1, 8, 64 };
	char curve[64];

	nsw_close(open_watcher(source));
	for (int c = 0; c < COUNTS; c++) {
		double times[ROUNDS], memory = available(), used = heap();
		int64_t began = now_ns(), cpu = cpu_ns();
		int count = open_all(source, counts[c]);

		snprintf(curve, sizeof(curve), "%s: open", of);
		point(curve, count, (now_ns() - began) / 1e6);
		snprintf(curve, sizeof(curve), "%s: open, processor time", of);
		point(curve, count, (cpu_ns() - cpu) / 1e6);
		settle(count);
		snprintf(curve, sizeof(curve), "%s: heap of each", of);
		point(curve, count, (heap() - used) / count);
		snprintf(curve, sizeof(curve), "%s: memory of each", of);
		if (c == COUNTS - 1)
			point(curve, count, (memory - available()) / count);
		for (int round = 0; round < ROUNDS; round++)
			times[round] = report_one(count);
		snprintf(curve, sizeof(curve), "%s: all have reported", of);
		/* the least: changes elsewhere on the machine, which each also reports, cost more than this one */
		point(curve, count, percentile(times, ROUNDS, 0));
		if (source == NSW_SOURCE_ALL) {
			/* into a full ring the kernel writes no record */
			settle(count);
			point("all: vfork", count, forks_us());
			settle(count);
		}
		for (int t = 0; t < 3; t++) {
			if (c < COUNTS - 1 && t > 0)
				break;
			if (t > 0)
				open_all(source, count);
			snprintf(curve, sizeof(curve), "%s: close on %d", of, threads[t]);
			point(curve, count, close_all(count, threads[t]));
		}
	}
}

void scale_watchers(void)
{
	/* 1000 watchers of all namespaces would slow every fork of the machine for minutes */
	static const int names[COUNTS] = { 1, 10, 100, MOST }, all[COUNTS] = { 1, 10, 30, 100 };

	/* a name that is a namespace, so that watchers of names listen to mounts */
	make_names("known", 1, 0);
	need(mount("/proc/self/ns/net", NETNS "/known-00000", NULL, MS_BIND, NULL) == 0, "mount");
	measure(NSW_SOURCE_NAMED, "directory", names, report_name);
	need(umount2(NETNS "/known-00000", MNT_DETACH) == 0, "umount");
	remove_names("known", 1);
	point("all: vfork", 0, forks_us());
	measure(NSW_SOURCE_ALL, "all", all, report_birth);
}
