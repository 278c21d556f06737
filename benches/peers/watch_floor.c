/*
 * A minimal program with the system calls themselves. It works for these measurements and little else: an overflow, a
 * replaced name or a removed directory makes it wrong for ever.
 *
 *     watch_floor names|ids
 *
 * Prints a line for each event: time, type, name.
 */
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define NETNS "/run/netns"
#define NSFS_MAGIC 0x6e736673
/* Linux 6.15; older headers lack them */
#define MARK_MNTNS 0x110
#define REPORT_MNT 0x4000
#define MNT_ATTACH 0x01000000ull
#define WAITING 4096

static char waiting[WAITING][256];
static int count;

static void report(const char *what, const char *name)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	printf("%lld %s %s\n", t.tv_sec * 1000000000ll + t.tv_nsec, what, name);
}

static void need(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static void look(void)
{
	int left = 0;

	for (int i = 0; i < count; i++) {
		struct statfs fs;
		char path[300];

		snprintf(path, sizeof(path), NETNS "/%s", waiting[i]);
		if (statfs(path, &fs) == 0 && fs.f_type == NSFS_MAGIC)
			report("ready", waiting[i]);
		else if (left++ != i)
			strcpy(waiting[left - 1], waiting[i]);
	}
	count = left;
}

static void forget(const char *name)
{
	for (int i = 0; i < count; i++)
		if (strcmp(waiting[i], name) == 0)
			strcpy(waiting[i], waiting[--count]);
}

static void names(void)
{
	static char buffer[16384] __attribute__((aligned(8)));
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };

	fds[0].fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	need(inotify_add_watch(fds[0].fd, NETNS, IN_CREATE | IN_DELETE) >= 0, NETNS);
	fds[1].fd = fanotify_init(REPORT_MNT | FAN_NONBLOCK | FAN_CLOEXEC, 0);
	need(fanotify_mark(fds[1].fd, FAN_MARK_ADD | MARK_MNTNS, MNT_ATTACH, AT_FDCWD, "/proc/self/ns/mnt") == 0,
	     "fanotify_mark");
	report("synced", "");
	fflush(stdout);
	while (poll(fds, 2, -1) > 0) {
		ssize_t n = read(fds[0].fd, buffer, sizeof(buffer));

		for (char *at = buffer; n > 0 && at < buffer + n;) {
			struct inotify_event *event = (struct inotify_event *)at;

			if (event->mask & IN_CREATE) {
				report("created", event->name);
				if (count < WAITING)
					strcpy(waiting[count++], event->name);
			} else if (event->mask & IN_DELETE) {
				report("deleted", event->name);
				forget(event->name);
			}
			at += sizeof(*event) + event->len;
		}
		while (read(fds[1].fd, buffer, sizeof(buffer)) > 0)
			;
		look();
		fflush(stdout);
	}
}

static void ids(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), group = 28 /* RTNLGRP_NSID */;
	int room = 4 * 1024 * 1024;
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	char buffer[8192];
	ssize_t n;

	need(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "a netlink socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	need(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) == 0, "NETLINK_ADD_MEMBERSHIP");
	report("synced", "");
	fflush(stdout);
	while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
		for (struct nlmsghdr *h = (struct nlmsghdr *)buffer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			int32_t nsid;
			char name[16];

			memcpy(&nsid, (char *)NLMSG_DATA(h) + 8, sizeof(nsid));
			snprintf(name, sizeof(name), "%d", nsid);
			report(h->nlmsg_type == RTM_NEWNSID ? "nsid_new" : "nsid_del", name);
		}
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "ids") == 0)
		ids();
	else
		names();
	return 1;
}
