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

/*
 * Prints fields separated by tabs: figure, unit, median and 99th percentile of nswatch, the same of the floor, the median of
 * the ratios, the target of the ratio and whether it is met. `inverse`: a rate, where more is better. 0: no target.
 */
void report(const char *figure, const char *unit, const struct pair *pair, double target, int inverse);
/* The same for a figure without a floor, with an absolute target. */
void report_absolute(const char *figure, const char *unit, double value, double target);

/* Makes `count` names of this prefix: empty files, or symbolic links to this namespace. */
void make_names(const char *prefix, int count, int links);
void remove_names(const char *prefix, int count);

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

void measure_names(int rounds);
void measure_looks(int rounds);
void measure_memory(void);
void measure_open(int rounds);
void measure_nsids(int rounds);
void measure_watchers(int count);

#endif
