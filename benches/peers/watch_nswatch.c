/*
 * Watches through the C API and prints a line for each event: time, type, name.
 *
 *     watch_nswatch names|ids
 *     watch_nswatch drain        processor time per event of each of nine replays, in nanoseconds
 */
#include <nswatch.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static long long of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static long long now(void)
{
	return of(CLOCK_MONOTONIC);
}

static int drain(void)
{
	nsw_watcher *watcher;
	const nsw_event *event;
	unsigned long long sum = 0;
	long events = 0;
	long long began;
	int rc = nsw_open(NSW_SOURCE_NAMED, NULL, &watcher);

	if (rc != 0)
		return rc;
	began = of(CLOCK_THREAD_CPUTIME_ID);
	while (nsw_next_event(watcher, &event) == 1) {
		sum += nsw_event_type(event) + nsw_event_name_len(event);
		events++;
	}
	printf("%.1f\n", (double)(of(CLOCK_THREAD_CPUTIME_ID) - began) / events);
	nsw_close(watcher);
	return sum == 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "names";
	const nsw_event *event;
	nsw_watcher *watcher;
	int rc = 0;

	if (strcmp(what, "drain") == 0) {
		for (int replay = 0; rc == 0 && replay < 9; replay++)
			rc = drain();
		return rc != 0;
	}
	rc = nsw_open(strcmp(what, "ids") == 0 ? NSW_SOURCE_NSID : NSW_SOURCE_NAMED, NULL, &watcher);
	while (rc >= 0) {
		rc = nsw_next_event(watcher, &event);
		if (rc == 0) {
			fflush(stdout);
			rc = nsw_wait_event(watcher, -1, &event);
		}
		if (rc == 1 && nsw_event_name(event))
			printf("%lld %s %s\n", now(), nsw_event_type_name(nsw_event_type(event)), nsw_event_name(event));
		else if (rc == 1)
			printf("%lld %s %d\n", now(), nsw_event_type_name(nsw_event_type(event)), nsw_event_nsid(event));
	}
	fprintf(stderr, "%s\n", nsw_strerror(rc));
	return 1;
}
