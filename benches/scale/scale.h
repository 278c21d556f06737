/*
 * Shared by the measurements of benches/scale. Each prints lines of fields separated by tabs: curve, number of things, value.
 * benches/scale/run makes tables and plots of them.
 */
#ifndef SCALE_H
#define SCALE_H

#include "../floor/floor.h"

/* Prints a point of a curve. */
void point(const char *curve, int count, double value);

void pause_us(long us);
/* The processor time of one vfork(2), in microseconds. */
double fork_us(void);

nsw_watcher *open_with(uint32_t source, const nsw_options *options);
/* Takes events up to SYNCED. */
void until_synced(nsw_watcher *watcher);
/* Takes all events, overflows too; returns their number. */
long take_all(nsw_watcher *watcher);

/* Processes that each are in a network namespace of their own. Returns how many there are, at most `count`. */
int make_processes(int count);
/* Ends them, in no order, all at once. */
void kill_processes(void);

/* A process that makes a network namespace, when it is asked to, and stays in it. */
struct maker {
	int pid, order;
};

struct maker start_maker(void);
/* Returns the inode number of the namespace. */
uint64_t make_namespace(struct maker *maker);
void end_maker(struct maker *maker);

/* Takes events up to this one of the namespace with this inode number. */
void until_netns(nsw_watcher *watcher, uint32_t type, uint64_t ino);

void scale_names(void);
void scale_namespaces(char *nswatch);
void scale_watchers(void);
void scale_mounts(void);
void scale_nsids(void);
void scale_records(void);

#endif
