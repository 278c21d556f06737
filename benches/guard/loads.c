/*
 * Three fixed loads for ci/instructions, which counts the instructions of the library in measured():
 *
 *     tests/sandbox loads names|replay|ids
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

/* Existing namespaces. */
static long replay(nsw_watcher **watcher)
{
	for (int i = 0; i < NAMES; i++)
		need(symlink("/proc/self/ns/net", path_of(i)) == 0, path_of(i));
	return measured(NSW_SOURCE_NAMED, watcher) - 2 * NAMES - 1;
}

/* Assigned nsids. */
static long ids(nsw_watcher **watcher)
{
	int home = open("/proc/self/ns/net", O_RDONLY), peers[IDS];

	prepare(NSW_SOURCE_NSID, watcher);
	for (int i = 0; i < IDS; i++) {
		need(unshare(CLONE_NEWNET) == 0, "unshare");
		peers[i] = open("/proc/self/ns/net", O_RDONLY);
		need(peers[i] >= 0, "a peer");
	}
	need(setns(home, CLONE_NEWNET) == 0, "setns");
	for (int i = 0; i < IDS; i++) {
		int32_t nsid;

		need(nsid_assign(peers[i], -1, &nsid) == 0, "nsid_assign");
	}
	return measured(NSW_SOURCE_NSID, watcher) - IDS;
}

int main(int argc, char **argv)
{
	const char *load = argc == 2 ? argv[1] : "";
	nsw_watcher *watcher = NULL;
	long surplus = -1;

	need(mkdir(NETNS, 0755) == 0 || errno == EEXIST, NETNS);
	if (strcmp(load, "names") == 0)
		surplus = names(&watcher);
	else if (strcmp(load, "replay") == 0)
		surplus = replay(&watcher);
	else if (strcmp(load, "ids") == 0)
		surplus = ids(&watcher);
	nsw_close(watcher);
	if (surplus != 0)
		fprintf(stderr, "%s: %ld events too many\n", load, surplus);
	return surplus != 0;
}
