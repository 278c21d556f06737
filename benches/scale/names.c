/* Known names: links to a namespace, in one directory. */
#include "scale.h"

#include <stdio.h>

#define PAIRS 4000
#define LINKS 500
#define ROUNDS 5

static double each_ns(nsw_watcher *watcher)
{
	int64_t began = cpu_ns();
	long events = drain(watcher);

	return (double)(cpu_ns() - began) / events;
}

void scale_names(void)
{
	static const int counts[] = { 10, 100, 1000, 10000, 100000 };
	nsw_watcher *watcher;
	double none;
	int known = 0;

	/* excludes the allocations that the first watcher makes for all */
	nsw_close(open_watcher(NSW_SOURCE_NAMED));
	none = heap();
	watcher = open_watcher(NSW_SOURCE_NAMED);
	drain(watcher);
	none = heap() - none;
	nsw_close(watcher);
	point("heap of a watcher", 0, none);
	for (int c = 0; c < 5; c++) {
		double replay[ROUNDS], resync[ROUNDS], plain[ROUNDS], ready[ROUNDS], used = 0;
		char prefix[8];

		snprintf(prefix, sizeof(prefix), "k%d", c);
		make_names(prefix, counts[c] - known, 1);
		known = counts[c];
		for (int round = 0; round < ROUNDS; round++) {
			int64_t t0, t1, t2;

			used = heap();
			t0 = cpu_ns();
			watcher = open_watcher(NSW_SOURCE_NAMED);
			until_synced(watcher);
			t1 = cpu_ns();
			used = heap() - used;
			need(nsw_resync(watcher) == 0, "nsw_resync");
			until_synced(watcher);
			t2 = cpu_ns();
			replay[round] = (t1 - t0) / 1e6;
			resync[round] = (t2 - t1) / 1e6;
			/* the first one allocates a queue of this length */
			churn(PAIRS);
			drain(watcher);
			churn(PAIRS);
			plain[round] = each_ns(watcher);
			make_names("link", LINKS, 1);
			ready[round] = each_ns(watcher);
			remove_names("link", LINKS);
			nsw_close(watcher);
		}
		point("open and replay", known, percentile(replay, ROUNDS, 0.5));
		point("resync", known, percentile(resync, ROUNDS, 0.5));
		point("event of a plain name", known, percentile(plain, ROUNDS, 0.5));
		point("event of a new namespace's name", known, percentile(ready, ROUNDS, 0.5));
		point("heap of a watcher", known, used);
		point("heap of a name", known, (used - none) / known);
	}
	for (int c = 0; c < 5; c++) {
		char prefix[8];

		snprintf(prefix, sizeof(prefix), "k%d", c);
		remove_names(prefix, counts[c] - (c ? counts[c - 1] : 0));
	}
}
