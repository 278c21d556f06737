/* Watching names: the cost of an event, and of a scan of all names. */
#include "floor.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* Fewer than half of the kernel's queue. */
#define PAIRS 8000

#define TURNS 5

/* Drains the same events through both, one after the other. */
static void drain_both(nsw_watcher *watcher, struct raw *raw, int first, struct pair *rate)
{
	int64_t began[2], ended[2];
	long events[2];

	for (int i = 0; i < 2; i++) {
		int who = i ^ first;

		began[who] = cpu_ns();
		events[who] = who ? raw_drain(raw) : drain(watcher);
		ended[who] = cpu_ns();
	}
	need(events[0] == events[1] && events[0] > 0, "both see the same events");
	sample(rate, events[0] * 1e6 / (ended[0] - began[0]), events[1] * 1e6 / (ended[1] - began[1]));
}

static void measure_rates(int rounds)
{
	struct pair gone = { .n = 0 }, made = { .n = 0 }, removed = { .n = 0 };
	nsw_watcher *watcher = open_watcher(NSW_SOURCE_NAMED);
	struct raw raw;

	raw_open(&raw);
	drain(watcher);
	for (int round = 0; round < rounds; round++) {
		churn(PAIRS);
		drain_both(watcher, &raw, round % 2, &gone);
		make_names("plain", PAIRS, 0);
		drain_both(watcher, &raw, round % 2, &made);
		remove_names("plain", PAIRS);
		drain_both(watcher, &raw, round % 2, &removed);
	}
	nsw_close(watcher);
	raw_close(&raw);
	report("plain names, come and gone", "events/ms", &gone, RATE, 0.6);
	report("plain names, come and there", "events/ms", &made, RATE, 0.25);
	report("plain names, going", "events/ms", &removed, RATE, 0.6);
}

/* Nanoseconds per event of what is pending. */
static double cost(nsw_watcher *watcher)
{
	int64_t began = cpu_ns();
	long events = drain(watcher);

	return (double)(cpu_ns() - began) / events;
}

/* The costs of a watcher, in the middle of some turns: [0] plain names that appear and disappear, [1] 500 new namespaces. */
static void costs(double ns[2])
{
	nsw_watcher *watcher = open_watcher(NSW_SOURCE_NAMED);
	double of[2][TURNS];

	/* takes the replay, and allocates a queue of this length before the measurement */
	churn(PAIRS);
	drain(watcher);
	for (int turn = 0; turn < TURNS; turn++) {
		churn(PAIRS);
		of[0][turn] = cost(watcher);
		make_names("link", 500, 1);
		of[1][turn] = cost(watcher);
		remove_names("link", 500);
		drain(watcher);
	}
	nsw_close(watcher);
	for (int kind = 0; kind < 2; kind++)
		ns[kind] = percentile(of[kind], TURNS, 0.5);
}

/* Events among many known names against events among few. The names are namespaces. */
static void measure_known(int rounds)
{
	struct pair plain = { .n = 0 }, links = { .n = 0 };

	make_names("few", 10, 1);
	for (int round = 0; round < rounds; round++) {
		double few[2], many[2];

		costs(few);
		make_names("many", 10000, 1);
		costs(many);
		remove_names("many", 10000);
		sample(&plain, many[0], few[0]);
		sample(&links, many[1], few[1]);
	}
	remove_names("few", 10);
	report("an event, 10000 names known against 10", "ns", &plain, RATIO, 1.2);
	report("a namespace's events, 10000 names known against 10", "ns", &links, RATIO, 1.2);
}

void measure_names(int rounds)
{
	measure_rates(rounds);
	measure_known(rounds);
}

/* readdir, and statfs and stat of each name: the minimum for a scan. */
static void look_raw(int expected)
{
	DIR *dir = opendir(NETNS);
	struct dirent *entry;
	char path[512];
	int found = 0;

	need(dir != NULL, NETNS);
	while ((entry = readdir(dir)) != NULL) {
		struct statfs fs;
		struct stat st;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), NETNS "/%s", entry->d_name);
		if (statfs(path, &fs) == 0 && stat(path, &st) == 0)
			found++;
	}
	closedir(dir);
	need(found == expected, "the raw look sees all names");
}

static void until_synced(nsw_watcher *watcher)
{
	const nsw_event *event;

	do
		need(nsw_next_event(watcher, &event) == 1, "events until SYNCED");
	while (nsw_event_type(event) != NSW_EVENT_SYNCED);
}

void measure_looks(int rounds)
{
	static const int counts[] = { 10, 1000, 10000 };

	for (int c = 0; c < 3; c++) {
		struct pair replay = { .n = 0 }, resync = { .n = 0 };
		char figure[64];

		make_names("there", counts[c], 1);
		for (int round = 0; round < rounds; round++) {
			nsw_watcher *watcher;
			int64_t t0, t1, t2, t3;

			t0 = cpu_ns();
			watcher = open_watcher(NSW_SOURCE_NAMED);
			until_synced(watcher);
			t1 = cpu_ns();
			look_raw(counts[c]);
			t2 = cpu_ns();
			need(nsw_resync(watcher) == 0, "nsw_resync");
			until_synced(watcher);
			t3 = cpu_ns();
			nsw_close(watcher);
			sample(&replay, (t1 - t0) / 1e3, (t2 - t1) / 1e3);
			sample(&resync, (t3 - t2) / 1e3, (t2 - t1) / 1e3);
		}
		remove_names("there", counts[c]);
		snprintf(figure, sizeof(figure), "open and replay, %d namespaces", counts[c]);
		report(figure, "us", &replay, RATIO, counts[c] == 10000 ? 1.3 : 0);
		snprintf(figure, sizeof(figure), "resync, %d namespaces", counts[c]);
		report(figure, "us", &resync, RATIO, counts[c] == 10000 ? 1.3 : 0);
	}
}
