/* All namespaces: from a birth or a death to its event, the price that every fork pays, and the census. */
#include "floor.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BIRTHS 10
#define DEATHS 10
/* Each takes seconds. */
#define FEW_ROUNDS 5

/* Shared with children. */
static struct shared {
	volatile int go, stop;
	volatile int64_t begun, made;
	volatile uint64_t ino;
	volatile double forks_us;
	volatile long forks;
} *shared;

static void share(void)
{
	if (!shared)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(shared != MAP_FAILED, "mmap");
}

static uint64_t own_ino(void)
{
	struct stat st;

	need(stat("/proc/self/ns/net", &st) == 0, "stat");
	return st.st_ino;
}

/* A child that waits for its turn, makes a namespace, and stays in it. */
static pid_t maker(void)
{
	pid_t pid;

	shared->go = 0;
	shared->ino = 0;
	pid = fork();
	need(pid >= 0, "fork");
	if (pid == 0) {
		while (!shared->go)
			usleep(100);
		shared->begun = now_ns();
		need(unshare(CLONE_NEWNET) == 0, "unshare");
		shared->made = now_ns();
		shared->ino = own_ino();
		for (;;)
			pause();
	}
	return pid;
}

static void end(pid_t pid)
{
	need(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid, "kill");
}

/* Returns when the watcher reported this event of the maker's namespace. */
static int64_t event_of(nsw_watcher *watcher, uint32_t type)
{
	static struct {
		uint64_t ino;
		int64_t when;
	} seen[64];
	const nsw_event *event;
	int n = 0;

	for (;;) {
		need(nsw_wait_event(watcher, 5000, &event) == 1, "no event in time");
		if (nsw_event_type(event) == type && n < 64) {
			seen[n].ino = nsw_event_ino(event);
			seen[n++].when = now_ns();
		}
		while (!shared->ino)
			;
		for (int i = 0; i < n; i++)
			if (seen[i].ino == shared->ino)
				return seen[i].when;
	}
}

/* The median of some births, with a watcher or by the floor: from before unshare(2), and from after it. */
static double births(int ours, double *after)
{
	nsw_watcher *watcher = NULL;
	double us[BIRTHS], after_us[BIRTHS];

	if (ours)
		drain(watcher = open_watcher(NSW_SOURCE_ALL));
	else
		post_open();
	for (int i = 0; i < BIRTHS; i++) {
		pid_t pid = maker();
		int64_t reported;

		usleep(5000);
		shared->go = 1;
		reported = ours ? event_of(watcher, NSW_EVENT_NETNS_NEW) : post_birth(&shared->ino);
		us[i] = (reported - shared->begun) / 1e3;
		after_us[i] = (reported - shared->made) / 1e3;
		end(pid);
	}
	if (ours)
		nsw_close(watcher);
	else
		post_close();
	*after = percentile(after_us, BIRTHS, 0.5);
	return percentile(us, BIRTHS, 0.5);
}

/* The kernel removes namespaces in batches of some 31 ms: at this distance none waits for another. */
static double deaths(int ours)
{
	nsw_watcher *watcher = NULL;
	double us[DEATHS];

	if (ours)
		drain(watcher = open_watcher(NSW_SOURCE_ALL));
	else
		post_open();
	for (int i = 0; i < DEATHS; i++) {
		pid_t pid = maker();
		int64_t begun, reported;

		shared->go = 1;
		while (!shared->ino)
			usleep(100);
		if (ours)
			event_of(watcher, NSW_EVENT_NETNS_NEW);
		else
			post_watch(pid);
		usleep(120000);
		begun = now_ns();
		end(pid);
		reported = ours ? event_of(watcher, NSW_EVENT_NETNS_DEL) : post_death();
		us[i] = (reported - begun) / 1e3;
	}
	if (ours)
		nsw_close(watcher);
	else
		post_close();
	return percentile(us, DEATHS, 0.5);
}

/* A process that makes that many forks a second, and measures each. */
static pid_t forker(int rate)
{
	pid_t pid;

	shared->stop = 0;
	shared->forks = 0;
	shared->forks_us = 0;
	pid = fork();
	need(pid >= 0, "fork");
	if (pid == 0) {
		int64_t next = now_ns(), left;

		while (!shared->stop) {
			int64_t begun = now_ns();
			pid_t child = vfork();

			if (child == 0)
				_exit(0);
			need(child > 0, "vfork");
			shared->forks_us += (now_ns() - begun) / 1e3;
			shared->forks++;
			need(waitpid(child, NULL, 0) == child, "waitpid");
			next += 1000000000 / rate;
			left = next - now_ns() - 60000;
			if (left > 0)
				usleep(left / 1000);
			while (now_ns() < next)
				;
		}
		_exit(0);
	}
	return pid;
}

void measure_births(int rounds)
{
	struct pair quiet = { .n = 0 }, busy = { .n = 0 }, after = { .n = 0 };

	share();
	for (int round = 0; round < 2 * rounds; round++) {
		double alone, beside, floor, ours_after, floor_after, unused;
		pid_t pid;

		/* in turns also within a round: the first one finds the processor colder */
		if (round % 2 == 0)
			alone = births(1, &ours_after);
		floor = births(0, &floor_after);
		if (round % 2 != 0)
			alone = births(1, &ours_after);
		sample(&quiet, alone, floor);
		sample(&after, ours_after, floor_after);
		pid = forker(1000);
		beside = births(1, &unused);
		shared->stop = 1;
		need(waitpid(pid, NULL, 0) == pid, "waitpid");
		sample(&busy, beside, alone);
	}
	report("all: birth, from before unshare(2)", "us", &quiet, RATIO, 1.1);
	report("all: birth, from the return of unshare(2)", "us", &after, MORE, 0);
	report("all: birth beside 1000 forks a second, against a quiet host", "us", &busy, MORE, 25000);
}

void measure_deaths(int rounds)
{
	struct pair pair = { .n = 0 };

	share();
	for (int round = 0; round < rounds && round < 2 * FEW_ROUNDS; round++) {
		int first = round % 2;
		double us[2];

		/* in turns, as births */
		us[first] = deaths(!first);
		us[!first] = deaths(first);
		sample(&pair, us[0], us[1]);
	}
	report("all: death, from before kill(2)", "us", &pair, RATIO, 1.1);
}

/* Microseconds of a fork, and the reader's share of a processor. */
static double forks(int rate, int watched, double *percent)
{
	nsw_watcher *watcher = NULL;
	const nsw_event *event;
	int64_t begun, used;
	pid_t pid;

	if (watched)
		drain(watcher = open_watcher(NSW_SOURCE_ALL));
	pid = forker(rate);
	begun = now_ns();
	used = cpu_ns();
	while (now_ns() < begun + 1000000000) {
		if (watched)
			need(nsw_wait_event(watcher, 100, &event) >= 0, "nsw_wait_event");
		else
			usleep(100000);
	}
	*percent = 100.0 * (cpu_ns() - used) / (now_ns() - begun);
	shared->stop = 1;
	need(waitpid(pid, NULL, 0) == pid, "waitpid");
	if (watched)
		nsw_close(watcher);
	return shared->forks_us / shared->forks;
}

void measure_forks(int rounds)
{
	static const int rates[] = { 100, 1000, 5000, 10000 };

	share();
	for (int i = 0; i < 4; i++) {
		struct pair pair = { .n = 0 };
		double shares[FEW_ROUNDS], none;
		char figure[64];

		for (int round = 0; round < rounds && round < FEW_ROUNDS; round++) {
			double with = forks(rates[i], 1, &shares[round]);

			sample(&pair, with, forks(rates[i], 0, &none));
		}
		snprintf(figure, sizeof(figure), "all: a fork, %d a second, watched or not", rates[i]);
		report(figure, "us", &pair, MORE, rates[i] == 5000 ? 20 : 0);
		snprintf(figure, sizeof(figure), "all: the reader of %d forks a second", rates[i]);
		report_alone(figure, "% of a processor", percentile(shares, pair.n, 0.5), rates[i] == 5000 ? 1 : 0);
	}
}

static double run_ms(char *const *command)
{
	int64_t began = now_ns();
	int status;
	pid_t pid = fork();

	need(pid >= 0, "fork");
	if (pid == 0) {
		need(dup2(open("/dev/null", O_WRONLY), 1) == 1, "dup2");
		execvp(command[0], command);
		_exit(127);
	}
	need(waitpid(pid, &status, 0) == pid && status == 0, command[0]);
	return (now_ns() - began) / 1e6;
}

/* The namespaces of all processes by their inode numbers: the minimum, which misses threads, descriptors and names. */
static double scan_ms(void)
{
	int64_t began = now_ns();
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	long found = 0;

	need(proc != NULL, "/proc");
	while ((entry = readdir(proc)) != NULL) {
		struct stat st;
		char path[300];

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "%s/ns/net", entry->d_name);
		found += fstatat(dirfd(proc), path, &st, 0) == 0;
	}
	closedir(proc);
	need(found > 0, "processes");
	return (now_ns() - began) / 1e6;
}

static void census(int rounds, int count)
{
	const char *nswatch = getenv("NSWATCH_COMMAND");
	char *list[] = { (char *)(nswatch ? nswatch : "nswatch"), "list", "--all", NULL };
	char *lsns[] = { "lsns", "-t", "net", NULL };
	struct pair listing = { .n = 0 }, opening = { .n = 0 };
	pid_t *pids = calloc(count, sizeof(*pids));
	double before, without;
	nsw_watcher *watcher;
	char figure[64];

	need(pids != NULL, "calloc");
	before = heap();
	drain(watcher = open_watcher(NSW_SOURCE_ALL));
	without = heap() - before;
	nsw_close(watcher);
	for (int i = 0; i < count; i++) {
		pids[i] = maker();
		shared->go = 1;
		while (!shared->ino)
			usleep(100);
	}
	for (int round = 0; round < rounds && round < 2 * FEW_ROUNDS; round++) {
		double ours = run_ms(list);
		int64_t began;

		sample(&listing, ours, run_ms(lsns));
		began = now_ns();
		watcher = open_watcher(NSW_SOURCE_ALL);
		sample(&opening, (now_ns() - began) / 1e6, scan_ms());
		nsw_close(watcher);
	}
	snprintf(figure, sizeof(figure), "all: `nswatch list --all` against lsns, %d namespaces", count);
	report(figure, "ms", &listing, RATIO, count == 200 ? 0.3 : 0);
	snprintf(figure, sizeof(figure), "all: open a watcher, %d namespaces", count);
	report(figure, "ms", &opening, RATIO, 0);
	before = heap();
	drain(watcher = open_watcher(NSW_SOURCE_ALL));
	snprintf(figure, sizeof(figure), "all: heap of a namespace, of %d", count);
	/* among few, the watcher's own memory varies more than that */
	if (count >= 200)
		report_alone(figure, "bytes", (heap() - before - without) / count, 200);
	nsw_close(watcher);
	for (int i = 0; i < count; i++)
		end(pids[i]);
	free(pids);
}

void measure_census(int rounds)
{
	share();
	census(rounds, 10);
	census(rounds, 200);
	census(rounds, 1000);
}
