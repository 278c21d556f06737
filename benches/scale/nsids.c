/* Nsids in this namespace, and a watcher of them. */
#include "scale.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#define MOST 1000
#define ALONE 20
#define BURST 200
#define ROUNDS 5

static int home;

static int peer(void)
{
	int fd;

	need(unshare(CLONE_NEWNET) == 0, "unshare");
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	need(fd >= 0 && setns(home, CLONE_NEWNET) == 0, "a peer");
	return fd;
}

static void assign(int fd)
{
	int32_t nsid;

	need(nsid_assign(fd, -1, &nsid) == 0, "nsid_assign");
}

/* Waits until the kernel has removed that many. */
static void until_removed(nsw_watcher *watcher, int count)
{
	const nsw_event *event;

	while (count > 0) {
		need(nsw_wait_event(watcher, 20000, &event) == 1, "the end of an nsid");
		count -= nsw_event_type(event) == NSW_EVENT_NSID_DEL;
	}
}

void scale_nsids(void)
{
	static const int counts[] = { 10, 30, 100, 300, 1000 };
	int peers[MOST], others[BURST], known = 0;

	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	need(home >= 0, "this namespace");
	for (int c = 0; c < 5; c++) {
		double replay[ROUNDS], resync[ROUNDS], alone[ALONE];
		nsw_watcher *watcher = NULL;
		int64_t began;

		for (; known < counts[c]; known++)
			assign(peers[known] = peer());
		for (int round = 0; round < ROUNDS; round++) {
			if (watcher)
				nsw_close(watcher);
			began = cpu_ns();
			watcher = open_watcher(NSW_SOURCE_NSID);
			until_synced(watcher);
			replay[round] = (cpu_ns() - began) / 1e3;
			began = cpu_ns();
			need(nsw_resync(watcher) == 0, "nsw_resync");
			until_synced(watcher);
			resync[round] = (cpu_ns() - began) / 1e3;
		}
		for (int i = 0; i < BURST; i++)
			others[i] = peer();
		for (int i = 0; i < ALONE; i++) {
			assign(others[i]);
			began = cpu_ns();
			need(drain(watcher) == 1, "an event");
			alone[i] = (cpu_ns() - began) / 1e3;
		}
		for (int i = ALONE; i < BURST; i++)
			assign(others[i]);
		began = cpu_ns();
		need(drain(watcher) == BURST - ALONE, "an event of each");
		point("an nsid in a burst", known, (cpu_ns() - began) / 1e3 / (BURST - ALONE));
		for (int i = 0; i < BURST; i++)
			close(others[i]);
		until_removed(watcher, BURST);
		nsw_close(watcher);
		point("an nsid alone", known, percentile(alone, ALONE, 0.5));
		point("open and replay", known, percentile(replay, ROUNDS, 0.5));
		point("resync", known, percentile(resync, ROUNDS, 0.5));
	}
}
