/*
 * What the measurements of benches/floor share: time, samples, the directory, the raw watchers that are the floor.
 */
#ifndef FLOOR_H
#define FLOOR_H

#include <nswatch.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NETNS "/run/netns"

/* Ends the program unless `good`; `what` failed, by errno. */
void need(int good, const char *what);

int64_t now_ns(void);
/* What this thread has taken of the processor, so that what else runs on the machine counts as little as can be. */
int64_t cpu_ns(void);

/* Times of one figure, of nswatch and of the floor, taken in turns. */
struct pair {
	double ours[512], floor[512];
	int n;
};

void sample(struct pair *pair, double ours, double floor);
double percentile(const double *values, int n, double p);

/*
 * Prints a line of tabs: figure, unit, median and 99th percentile of nswatch, the same of the floor, the median of the
 * ratios, the target of the ratio and whether it is met. `inverse`: a rate, of which more is better. A target of 0 is none.
 */
void report(const char *figure, const char *unit, const struct pair *pair, double target, int inverse);
/* The same for what has no floor but an absolute target. */
void report_absolute(const char *figure, const char *unit, double value, double target);

/* Makes `count` names of this prefix: empty files, or symbolic links to this namespace. */
void make_names(const char *prefix, int count, int links);
void remove_names(const char *prefix, int count);

/* A set of names, open addressing, as a careful program in C keeps one. */
struct set {
	char **slots;
	size_t capacity, used;
};

void set_init(struct set *set);
void set_insert(struct set *set, const char *name);
void set_remove(struct set *set, const char *name);
void set_free(struct set *set);

/* inotify on the directory and a set of its names: what one cannot do without. */
struct raw {
	int fd;
	struct set names;
};

void raw_open(struct raw *raw);
/* Reads all there is; how many events it was. */
long raw_drain(struct raw *raw);
void raw_close(struct raw *raw);

nsw_watcher *open_watcher(uint32_t source);
/* Takes all events there are; how many. */
long drain(nsw_watcher *watcher);

void measure_names(int rounds);
void measure_looks(int rounds);
void measure_memory(void);
void measure_open(int rounds);
void measure_nsids(int rounds);
void measure_watchers(int count);

#endif
