/* Namespaces, each with a process, and a watcher of all of them. */
#include "scale.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 3
#define BIRTHS 15
#define RECORDS 1500

/* The processor time of a command in milliseconds; -1: it took longer than a minute. */
static double run_ms(char *const *command)
{
	struct rusage usage;
	pid_t pid = fork();
	int status;

	need(pid >= 0, "fork");
	if (pid == 0) {
		need(dup2(open("/dev/null", O_WRONLY), 1) == 1, "dup2");
		alarm(60);
		execvp(command[0], command);
		_exit(127);
	}
	need(wait4(pid, &status, 0, &usage) == pid, "wait4");
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		return -1;
	need(status == 0, command[0]);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

static void run_command(const char *curve, int count, char *const *command)
{
	double ms[ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		ms[round] = run_ms(command);
		if (ms[round] < 0) {
			point(curve, count, -1);
			return;
		}
	}
	point(curve, count, percentile(ms, ROUNDS, 0.5));
}

/* The processor time for each of some births and deaths, which come one by one. */
static void births_of(nsw_watcher *watcher, int count)
{
	struct maker makers[BIRTHS];
	double births[BIRTHS], deaths[BIRTHS];
	uint64_t inos[BIRTHS];

	for (int i = 0; i < BIRTHS; i++)
		makers[i] = start_maker();
	pause_us(50000);
	take_all(watcher);
	for (int i = 0; i < BIRTHS; i++) {
		int64_t began;

		inos[i] = make_namespace(&makers[i]);
		began = cpu_ns();
		until_netns(watcher, NSW_EVENT_NETNS_NEW, inos[i]);
		births[i] = (cpu_ns() - began) / 1e3;
		pause_us(10000);
	}
	for (int i = 0; i < BIRTHS; i++) {
		int64_t began;

		end_maker(&makers[i]);
		began = cpu_ns();
		until_netns(watcher, NSW_EVENT_NETNS_DEL, inos[i]);
		deaths[i] = (cpu_ns() - began) / 1e3;
	}
	point("birth", count, percentile(births, BIRTHS, 0.5));
	point("death", count, percentile(deaths, BIRTHS, 0.5));
}

/* Waits until all have died; the time for each. */
static void measure_end(nsw_watcher *watcher, int count)
{
	int64_t cpu, elapsed = now_ns();
	const nsw_event *event;
	int left = count;

	kill_processes();
	cpu = cpu_ns();
	while (left > 0) {
		need(nsw_wait_event(watcher, 60000, &event) == 1, "the deaths of all");
		left -= nsw_event_type(event) == NSW_EVENT_NETNS_DEL;
	}
	point("death, all at once", count, (cpu_ns() - cpu) / 1e3 / count);
	point("all dead", count, (now_ns() - elapsed) / 1e6);
}

void scale_namespaces(char *nswatch)
{
	static const int counts[] = { 10, 100, 1000, 10000 };
	char *list[] = { nswatch, "list", "--all", NULL }, *lsns[] = { "lsns", "-t", "net", NULL };
	nsw_watcher *watcher;
	double none, others;

	nsw_close(open_watcher(NSW_SOURCE_ALL));
	none = heap();
	watcher = open_watcher(NSW_SOURCE_ALL);
	until_synced(watcher);
	none = heap() - none;
	others = nsw_stat(watcher, NSW_STAT_KNOWN);
	nsw_close(watcher);
	point("heap of a watcher", 0, none);
	for (int c = 0; c < 4; c++) {
		double open[ROUNDS], resync[ROUNDS], used = 0;
		int64_t began = now_ns();
		int count = make_processes(counts[c]);

		point("made", count, (now_ns() - began) / 1e6);
		if (count < counts[c])
			fprintf(stderr, "scale: only %d processes of %d\n", count, counts[c]);
		run_command("nswatch list --all", count, list);
		run_command("lsns -t net", count, lsns);
		for (int round = 0; round < ROUNDS; round++) {
			int64_t t0, t1;

			if (round > 0)
				nsw_close(watcher);
			used = heap();
			t0 = cpu_ns();
			watcher = open_watcher(NSW_SOURCE_ALL);
			until_synced(watcher);
			t1 = cpu_ns();
			used = heap() - used;
			need(nsw_resync(watcher) == 0, "nsw_resync");
			until_synced(watcher);
			open[round] = (t1 - t0) / 1e6;
			resync[round] = (cpu_ns() - t1) / 1e6;
		}
		point("open and replay", count, percentile(open, ROUNDS, 0.5));
		point("resync", count, percentile(resync, ROUNDS, 0.5));
		point("heap of a watcher", count, used);
		point("heap of a namespace", count, (used - none) / (nsw_stat(watcher, NSW_STAT_KNOWN) - others));
		births_of(watcher, count);
		measure_end(watcher, count);
		nsw_close(watcher);
	}
}

/* The cost of a record: of each fork of the machine, for the watcher. */
void scale_records(void)
{
	nsw_watcher *watcher = open_watcher(NSW_SOURCE_ALL);
	struct pollfd entry = { nsw_fd(watcher), POLLIN, 0 };
	double each[ROUNDS * 3];

	until_synced(watcher);
	for (int round = 0; round < ROUNDS * 3; round++) {
		int64_t began;

		pause_us(50000);
		take_all(watcher);
		for (int i = 0; i < RECORDS; i++)
			fork_us();
		began = cpu_ns();
		/* while there are many, it reads at intervals */
		while (poll(&entry, 1, 30) == 1)
			take_all(watcher);
		each[round] = (cpu_ns() - began) / 1e3 / RECORDS;
	}
	nsw_close(watcher);
	/* the least: births elsewhere on the machine cost more than records */
	point("record", RECORDS, percentile(each, ROUNDS * 3, 0));
}
