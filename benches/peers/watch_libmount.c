/*
 * Watches mounts by the monitor of libmount (util-linux), and prints a line for each mount below /run/netns and for its
 * end: time, type, name.
 *
 *     watch_libmount fanotify     the kernel reports each changed mount: util-linux 2.42, Linux 6.15
 *     watch_libmount mountinfo    the kernel reports that mounts changed; compares tables
 *     watch_libmount version
 */
#include <errno.h>
#include <libmount.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NETNS "/run/netns/"
#define HAS_FANOTIFY (LIBMOUNT_MAJOR_VERSION > 2 || (LIBMOUNT_MAJOR_VERSION == 2 && LIBMOUNT_MINOR_VERSION >= 42))

static void report(const char *what, const char *target)
{
	struct timespec t;

	if (target == NULL || strncmp(target, NETNS, strlen(NETNS)) != 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &t);
	printf("%lld %s %s\n", t.tv_sec * 1000000000ll + t.tv_nsec, what, target + strlen(NETNS));
}

static void need(int good, const char *what)
{
	if (!good) {
		fprintf(stderr, "%s failed\n", what);
		exit(1);
	}
}

/* Waits for a change. A signal, or a tracer that attaches, interrupts the wait. */
static int is_changed(struct libmnt_monitor *monitor)
{
	int rc;

	do
		rc = mnt_monitor_wait(monitor, -1);
	while (rc == -EINTR);
	need(rc > 0, "mnt_monitor_wait");
	return 1;
}

static void synced(void)
{
	report("synced", NETNS);
	fflush(stdout);
}

#if HAS_FANOTIFY
static void fanotify(struct libmnt_monitor *monitor)
{
	struct libmnt_statmnt *statmount = mnt_new_statmnt();
	struct libmnt_fs *fs = mnt_new_fs();

	/* a monitor with a namespace of its own: the library opens it */
	need(mnt_monitor_enable_fanotify(monitor, 1, -1) == 0 && mnt_monitor_get_fd(monitor) >= 0,
	     "mnt_monitor_enable_fanotify");
	need(statmount && fs && mnt_fs_refer_statmnt(fs, statmount) == 0, "mnt_fs_refer_statmnt");
	synced();
	while (is_changed(monitor)) {
		while (mnt_monitor_next_change(monitor, NULL, NULL) == 0)
			/* a detached mount has no target any more, and a program that wants it must remember it */
			while (mnt_monitor_event_next_fs(monitor, fs) == 0)
				if (mnt_fs_is_attached(fs))
					report("ready", mnt_fs_get_target(fs));
		fflush(stdout);
	}
}
#endif

static void mountinfo(struct libmnt_monitor *monitor)
{
	struct libmnt_table *old = mnt_new_table_from_file("/proc/self/mountinfo");
	struct libmnt_tabdiff *diff = mnt_new_tabdiff();
	struct libmnt_iter *all = mnt_new_iter(MNT_ITER_FORWARD);

	need(old && diff && all && mnt_monitor_enable_kernel(monitor, 1) == 0 && mnt_monitor_get_fd(monitor) >= 0,
	     "mnt_monitor_enable_kernel");
	synced();
	while (is_changed(monitor)) {
		struct libmnt_table *now;
		struct libmnt_fs *before, *after;
		int change;

		mnt_monitor_event_cleanup(monitor);
		now = mnt_new_table_from_file("/proc/self/mountinfo");
		need(now && mnt_diff_tables(diff, old, now) >= 0, "mnt_diff_tables");
		mnt_reset_iter(all, MNT_ITER_FORWARD);
		while (mnt_tabdiff_next_change(diff, all, &before, &after, &change) == 0)
			if (change == MNT_TABDIFF_MOUNT)
				report("ready", mnt_fs_get_target(after));
			else if (change == MNT_TABDIFF_UMOUNT)
				report("detached", mnt_fs_get_target(before));
		fflush(stdout);
		mnt_unref_table(old);
		old = now;
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *version;
	struct libmnt_monitor *monitor = mnt_new_monitor();

	need(monitor != NULL, "mnt_new_monitor");
	mnt_get_library_version(&version);
	if (strcmp(what, "version") == 0)
		return puts(version) < 0;
	if (strcmp(what, "mountinfo") == 0)
		mountinfo(monitor);
#if HAS_FANOTIFY
	if (strcmp(what, "fanotify") == 0)
		fanotify(monitor);
#endif
	fprintf(stderr, "libmount %s: no monitor by %s\n", version, what);
	return 1;
}
