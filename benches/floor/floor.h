/*
 * Shared by the measurements of benches/floor: time, samples, the directory, and the raw watchers, which are the floor.
 */
#ifndef FLOOR_H
#define FLOOR_H

#include <nswatch.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NETNS "/run/netns"

/* Ends the program unless `good`, with `what` and errno. */
void need(int good, const char *what);

int64_t now_ns(void);
/* The processor time of this thread, which other load affects least. */
int64_t cpu_ns(void);

/* Times of one figure, of nswatch and of the floor, taken in turns. */
struct pair {
	double ours[512], floor[512];
	int n;
};

void sample(struct pair *pair, double ours, double floor);
double percentile(const double *values, int n, double p);

/* What a target limits. */
enum target {
	/* the ratio to the floor */
	RATIO,
	/* the same of a rate, where more is better */
	RATE,
	/* the difference to the floor */
	MORE,
	/* the figure itself */
	AT_MOST,
};

/*
 * Prints fields separated by tabs: figure, unit, median and 99th percentile of nswatch, the same of the floor, the median of
 * the ratios or differences, the target and whether it is met. 0: no target.
 */
void report(const char *figure, const char *unit, const struct pair *pair, enum target kind, double target);
/* The same for a figure without a floor. */
void report_alone(const char *figure, const char *unit, double value, double target);

/* The bytes that malloc(3) has given out. */
double heap(void);

/* Makes `count` names of this prefix: empty files, or symbolic links to this namespace. */
void make_names(const char *prefix, int count, int links);
void remove_names(const char *prefix, int count);
/* Plain names that appear and disappear at once. */
void churn(int count);

/* A set of names with open addressing, as in a careful C program. */
struct set {
	char **slots;
	size_t capacity, used;
};

void set_init(struct set *set);
void set_insert(struct set *set, const char *name);
void set_remove(struct set *set, const char *name);
void set_free(struct set *set);

/* inotify on the directory, and a set of its names: the minimum. */
struct raw {
	int fd;
	struct set names;
};

void raw_open(struct raw *raw);
/* Reads everything; returns the number of events. */
long raw_drain(struct raw *raw);
void raw_close(struct raw *raw);

nsw_watcher *open_watcher(uint32_t source);
/* Takes all events; returns their number. */
long drain(nsw_watcher *watcher);

/* perf records of births, and a namespace that gives each other one an nsid: the minimum for all namespaces. */
void post_open(void);
/* Waits for the record of the namespace with this inode number, as soon as it is known; returns when it came. */
int64_t post_birth(volatile uint64_t *ino);
/* Assigns the next nsid to the namespace of a process. */
void post_watch(pid_t pid);
/* Waits until one of them is gone; returns when. */
int64_t post_death(void);
void post_close(void);

/* What each measures: main.c. */
void measure_names(int rounds);
void measure_looks(int rounds);
void measure_memory(int rounds);
void measure_open(int rounds);
void measure_nsids(int rounds);
void measure_queries(int rounds);
void measure_watchers(int rounds);
void measure_mounts(int rounds);
void measure_births(int rounds);
void measure_deaths(int rounds);
void measure_forks(int rounds);
void measure_census(int rounds);
void measure_statx(int rounds);

#endif
