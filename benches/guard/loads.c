/*
 * Fixed loads for ci/instructions, which counts the instructions of the library in measured():
 *
 *     tests/sandbox loads LOAD    names, stay, replay, ids, alone, census: see below
 */
#include <errno.h>
#include <fcntl.h>
#include <nswatch.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NETNS "/run/netns"
#define NAMES 2000
#define IDS 300
#define NAMESPACES 200

static void need(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static const char *path_of(int i)
{
	static char path[64];

	snprintf(path, sizeof(path), NETNS "/name-%05d", i);
	return path;
}

/* Opens a watcher if there is none yet, and takes all events. Returns their number. */
__attribute__((noinline)) long measured(uint32_t source, nsw_watcher **watcher)
{
	const nsw_event *event;
	long events = 0;
	int rc = *watcher ? 0 : nsw_open(source, NULL, watcher);

	need(rc == 0, "nsw_open");
	while ((rc = nsw_next_event(*watcher, &event)) == 1)
		events++;
	need(rc == 0, "nsw_next_event");
	return events;
}

/* Takes the replay in another function than the measured one. */
static void prepare(uint32_t source, nsw_watcher **watcher)
{
	const nsw_event *event;

	need(nsw_open(source, NULL, watcher) == 0, "nsw_open");
	while (nsw_next_event(*watcher, &event) == 1)
		;
}

/* Names that appeared and disappeared. */
static long names(nsw_watcher **watcher)
{
	prepare(NSW_SOURCE_NAMED, watcher);
	for (int i = 0; i < NAMES; i++) {
		int fd = open(path_of(i), O_RDONLY | O_CREAT | O_EXCL, 0);

		need(fd >= 0 && close(fd) == 0 && unlink(path_of(i)) == 0, path_of(i));
	}
	return measured(NSW_SOURCE_NAMED, watcher) - 2 * NAMES;
}

/* Names that appeared, and are no namespaces. */
static long stay(nsw_watcher **watcher)
{
	prepare(NSW_SOURCE_NAMED, watcher);
	for (int i = 0; i < NAMES; i++) {
		int fd = open(path_of(i), O_RDONLY | O_CREAT | O_EXCL, 0);

		need(fd >= 0 && close(fd) == 0, path_of(i));
	}
	return measured(NSW_SOURCE_NAMED, watcher) - NAMES;
}

/* Existing namespaces. */
static long replay(nsw_watcher **watcher)
{
	for (int i = 0; i < NAMES; i++)
		need(symlink("/proc/self/ns/net", path_of(i)) == 0, path_of(i));
	return measured(NSW_SOURCE_NAMED, watcher) - 2 * NAMES - 1;
}

/* Makes namespaces that these descriptors keep. */
static void make_namespaces(int *fds, int count)
{
	int home = open("/proc/self/ns/net", O_RDONLY);

	for (int i = 0; i < count; i++) {
		need(unshare(CLONE_NEWNET) == 0, "unshare");
		fds[i] = open("/proc/self/ns/net", O_RDONLY);
		need(fds[i] >= 0, "a namespace");
	}
	need(setns(home, CLONE_NEWNET) == 0 && close(home) == 0, "setns");
}

static long assigned(nsw_watcher **watcher, int each)
{
	int peers[IDS];
	long events = 0;

	prepare(NSW_SOURCE_NSID, watcher);
	make_namespaces(peers, IDS);
	for (int i = 0; i < IDS; i++) {
		int32_t nsid;

		need(nsid_assign(peers[i], -1, &nsid) == 0, "nsid_assign");
		if (each)
			events += measured(NSW_SOURCE_NSID, watcher);
	}
	return events + measured(NSW_SOURCE_NSID, watcher) - IDS;
}

/* Assigned nsids, all at once. */
static long ids(nsw_watcher **watcher)
{
	return assigned(watcher, 0);
}

/* The same, one after the other. */
static long alone(nsw_watcher **watcher)
{
	return assigned(watcher, 1);
}

/* Namespaces that descriptors of this process keep. Run it in a pid namespace of its own: a census sees every process. */
static long census(nsw_watcher **watcher)
{
	int fds[NAMESPACES];

	make_namespaces(fds, NAMESPACES);
	return measured(NSW_SOURCE_ALL, watcher) < NAMESPACES;
}

static const struct {
	const char *name;
	long (*surplus)(nsw_watcher **watcher);
} loads[] = {
	{ "names", names }, { "stay", stay },   { "replay", replay }, { "ids", ids }, { "alone", alone }, { "census", census },
};

int main(int argc, char **argv)
{
	const char *load = argc == 2 ? argv[1] : "";
	nsw_watcher *watcher = NULL;
	long surplus = -1;

	need(mkdir(NETNS, 0755) == 0 || errno == EEXIST, NETNS);
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
		if (strcmp(load, loads[i].name) == 0)
			surplus = loads[i].surplus(&watcher);
	nsw_close(watcher);
	if (surplus != 0)
		fprintf(stderr, "%s: %ld events too many\n", load, surplus);
	return surplus != 0;
}
