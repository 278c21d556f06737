#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

void need(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static int64_t ns_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int64_t now_ns(void)
{
	return ns_of(CLOCK_MONOTONIC);
}

int64_t cpu_ns(void)
{
	return ns_of(CLOCK_THREAD_CPUTIME_ID);
}

void sample(struct pair *pair, double ours, double floor)
{
	need(pair->n < (int)(sizeof(pair->ours) / sizeof(pair->ours[0])), "too many rounds");
	pair->ours[pair->n] = ours;
	pair->floor[pair->n++] = floor;
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double percentile(const double *values, int n, double p)
{
	double sorted[512];

	memcpy(sorted, values, n * sizeof(*values));
	qsort(sorted, n, sizeof(*sorted), order);
	return sorted[(int)((n - 1) * p)];
}

static void field(const char *format, double value)
{
	if (isnan(value))
		printf("-\t");
	else
		printf(format, value);
}

void report(const char *figure, const char *unit, const struct pair *pair, enum target kind, double target)
{
	double compared[512], ours = percentile(pair->ours, pair->n, 0.5), result;
	int met;

	for (int i = 0; i < pair->n; i++)
		compared[i] = kind == MORE ? pair->ours[i] - pair->floor[i] : pair->ours[i] / pair->floor[i];
	result = percentile(compared, pair->n, 0.5);
	printf("%s\t%s\t", figure, unit);
	field("%.2f\t", ours);
	field("%.2f\t", percentile(pair->ours, pair->n, 0.99));
	field("%.2f\t", percentile(pair->floor, pair->n, 0.5));
	field("%.2f\t", percentile(pair->floor, pair->n, 0.99));
	field(kind == MORE ? "%+.2f\t" : "%.2f\t", result);
	met = kind == RATE ? result >= target : (kind == AT_MOST ? ours : result) <= target;
	if (target <= 0)
		printf("-\t-\n");
	else if (kind == RATIO || kind == RATE)
		printf("%s %.2f\t%s\n", kind == RATE ? ">=" : "<=", target, met ? "met" : "MISSED");
	else
		printf("<= %s%g %s\t%s\n", kind == MORE ? "+" : "", target, unit, met ? "met" : "MISSED");
	fflush(stdout);
}

void report_alone(const char *figure, const char *unit, double value, double target)
{
	struct pair pair = { .n = 0 };

	sample(&pair, value, NAN);
	report(figure, unit, &pair, AT_MOST, target);
}

double heap(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

void make_names(const char *prefix, int count, int links)
{
	char path[64];

	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), NETNS "/%s-%05d", prefix, i);
		if (links) {
			need(symlink("/proc/self/ns/net", path) == 0, path);
		} else {
			int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);

			need(fd >= 0, path);
			close(fd);
		}
	}
}

void remove_names(const char *prefix, int count)
{
	char path[64];

	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), NETNS "/%s-%05d", prefix, i);
		need(unlink(path) == 0, path);
	}
}

void churn(int count)
{
	char path[64];

	for (int i = 0; i < count; i++) {
		FILE *file;

		snprintf(path, sizeof(path), NETNS "/churn-%05d", i);
		file = fopen(path, "w");
		need(file != NULL && fclose(file) == 0 && remove(path) == 0, path);
	}
}

static size_t slot_of(const struct set *set, const char *name)
{
	uint64_t hash = 14695981039346656037ull;
	size_t slot;

	for (const char *c = name; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 1099511628211ull;
	for (slot = hash & (set->capacity - 1); set->slots[slot] && strcmp(set->slots[slot], name) != 0;)
		slot = (slot + 1) & (set->capacity - 1);
	return slot;
}

static void set_resize(struct set *set, size_t capacity)
{
	struct set old = *set;

	set->capacity = capacity;
	set->slots = calloc(capacity, sizeof(*set->slots));
	need(set->slots != NULL, "calloc");
	for (size_t i = 0; i < old.capacity; i++)
		if (old.slots[i])
			set->slots[slot_of(set, old.slots[i])] = old.slots[i];
	free(old.slots);
}

void set_init(struct set *set)
{
	memset(set, 0, sizeof(*set));
	set_resize(set, 64);
}

void set_insert(struct set *set, const char *name)
{
	size_t slot;

	if (set->used * 2 >= set->capacity)
		set_resize(set, set->capacity * 2);
	slot = slot_of(set, name);
	if (!set->slots[slot]) {
		set->slots[slot] = strdup(name);
		set->used++;
	}
}

void set_remove(struct set *set, const char *name)
{
	size_t slot = slot_of(set, name);

	if (!set->slots[slot])
		return;
	free(set->slots[slot]);
	set->slots[slot] = NULL;
	set->used--;
	/* entries that follow without a gap may belong into it */
	for (size_t next = (slot + 1) & (set->capacity - 1); set->slots[next]; next = (next + 1) & (set->capacity - 1)) {
		char *moved = set->slots[next];

		set->slots[next] = NULL;
		set->slots[slot_of(set, moved)] = moved;
	}
}

void set_free(struct set *set)
{
	for (size_t i = 0; i < set->capacity; i++)
		free(set->slots[i]);
	free(set->slots);
}

void raw_open(struct raw *raw)
{
	set_init(&raw->names);
	raw->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	need(raw->fd >= 0, "inotify_init1");
	need(inotify_add_watch(raw->fd, NETNS, IN_CREATE | IN_DELETE | IN_MOVE | IN_DELETE_SELF | IN_MOVE_SELF) >= 0, NETNS);
}

long raw_drain(struct raw *raw)
{
	static char buffer[16 * 1024] __attribute__((aligned(8)));
	long events = 0;
	ssize_t n;

	while ((n = read(raw->fd, buffer, sizeof(buffer))) > 0) {
		for (char *at = buffer; at < buffer + n;) {
			struct inotify_event *event = (struct inotify_event *)at;

			if (event->mask & (IN_CREATE | IN_MOVED_TO))
				set_insert(&raw->names, event->name);
			else if (event->mask & (IN_DELETE | IN_MOVED_FROM))
				set_remove(&raw->names, event->name);
			need(!(event->mask & IN_Q_OVERFLOW), "the queue of the raw loop overflowed");
			events++;
			at += sizeof(*event) + event->len;
		}
	}
	need(errno == EAGAIN, "read");
	return events;
}

void raw_close(struct raw *raw)
{
	close(raw->fd);
	set_free(&raw->names);
}

nsw_watcher *open_watcher(uint32_t source)
{
	nsw_watcher *watcher;
	int rc = nsw_open(source, NULL, &watcher);

	if (rc != 0) {
		fprintf(stderr, "nsw_open: %s\n", nsw_strerror(rc));
		exit(1);
	}
	return watcher;
}

long drain(nsw_watcher *watcher)
{
	const nsw_event *event;
	long events = 0;
	int rc;

	while ((rc = nsw_next_event(watcher, &event)) == 1) {
		need(nsw_event_type(event) != NSW_EVENT_OVERFLOW, "the queue of nswatch overflowed");
		events++;
	}
	if (rc < 0) {
		fprintf(stderr, "nsw_next_event: %s\n", nsw_strerror(rc));
		exit(1);
	}
	return events;
}
