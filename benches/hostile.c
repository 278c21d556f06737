/*
 * Measures the processor time and the longest call of a watcher while a process that may write to the directory attacks
 * it. As root:
 *
 *     tests/sandbox hostile [SECONDS]
 *
 * The library spends at most a quarter of the time on scans that others provoke. Events that the program takes cost more:
 * each scan of a replaced directory emits two for each name.
 */
#include <nswatch.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DIR "/run/netns"
#define OTHER "/run/other"
#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

static void need(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static double seconds(clockid_t clock)
{
	struct timespec now;

	need(clock_gettime(clock, &now) == 0, "clock_gettime");
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void fill(const char *dir, int from, int to)
{
	char path[64];

	need(mkdir(dir, 0755) == 0 || errno == EEXIST, dir);
	for (int i = from; i < to; i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/name-%06d", dir, i);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0);
		need(fd >= 0 && close(fd) == 0, path);
	}
}

static void exchange(void)
{
	need(syscall(SYS_renameat2, AT_FDCWD, DIR, AT_FDCWD, OTHER, RENAME_EXCHANGE) == 0, "renameat2");
}

static void rename_ten_times_a_second(void)
{
	exchange();
	usleep(100000);
}

static void rename_at_full_speed(void)
{
	exchange();
}

static void chmod_at_full_speed(void)
{
	need(chmod(DIR, 0700) == 0 && chmod(DIR, 0755) == 0, "chmod");
}

struct attack {
	const char *what;
	void (*step)(void);
};

static const struct attack attacks[] = {
	{ "directory renamed 10 times a second", rename_ten_times_a_second },
	{ "directory renamed at full speed", rename_at_full_speed },
	{ "mode of the directory changed at full speed", chmod_at_full_speed },
};

static void measure(const struct attack *attack, int names, double duration)
{
	nsw_options *options = nsw_options_new();
	nsw_watcher *watcher;
	const nsw_event *event;
	double worst = 0, start, cpu;
	unsigned long events = 0;
	int rc;
	pid_t child;

	need(nsw_options_set_flags(options, NSW_NO_REPLAY) == 0, "options");
	rc = nsw_open(NSW_SOURCE_NAMED, options, &watcher);
	nsw_options_free(options);
	if (rc < 0) {
		fprintf(stderr, "nsw_open: %s\n", nsw_strerror(rc));
		exit(1);
	}
	child = fork();
	need(child >= 0, "fork");
	while (child == 0)
		attack->step();
	start = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	while (seconds(CLOCK_MONOTONIC) - start < duration) {
		struct pollfd readable = { nsw_fd(watcher), POLLIN, 0 };
		double before, call;

		need(poll(&readable, 1, 50) >= 0, "poll");
		before = seconds(CLOCK_MONOTONIC);
		rc = nsw_next_event(watcher, &event);
		call = seconds(CLOCK_MONOTONIC) - before;
		if (rc < 0) {
			fprintf(stderr, "nsw_next_event: %s\n", nsw_strerror(rc));
			exit(1);
		}
		events += rc;
		worst = call > worst ? call : worst;
	}
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("%-44s %7d %12.0f %% %10.1f ms %10lu\n", attack->what, names, 100 * cpu / duration, 1000 * worst, events);
	fflush(stdout);
	need(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child, "kill");
	nsw_close(watcher);
}

int main(int argc, char **argv)
{
	double duration = argc > 1 ? atof(argv[1]) : 10;
	int known = 0;

	printf("%-44s %7s %14s %13s %10s\n", "attack", "names", "processor", "longest call", "events");
	for (int names = 1000; names <= 100000; names *= 10) {
		fill(DIR, known, names);
		fill(OTHER, known, names);
		known = names;
		for (size_t i = 0; i < sizeof(attacks) / sizeof(*attacks); i++)
			measure(&attacks[i], names, duration);
	}
	return 0;
}
