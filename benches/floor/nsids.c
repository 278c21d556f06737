/* Watching nsids: the cost of a notification, against a loop of recv. */
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PEERS 500

static int raw_socket(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE), group = 28 /* RTNLGRP_NSID */;
	int room = 2 * 1024 * 1024;
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };

	need(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "a netlink socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	need(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) == 0, "NETLINK_ADD_MEMBERSHIP");
	return fd;
}

static long drain_socket(int fd, int8_t *assigned)
{
	char buffer[8192];
	long events = 0;
	ssize_t n;

	while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
		for (struct nlmsghdr *h = (struct nlmsghdr *)buffer; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			int32_t nsid;

			memcpy(&nsid, (char *)NLMSG_DATA(h) + 8, sizeof(nsid));
			if (nsid >= 0 && nsid < 1 << 20)
				assigned[nsid] = h->nlmsg_type == RTM_NEWNSID;
			events++;
		}
	}
	need(errno == EAGAIN, "recv");
	return events;
}

static void drain_both(nsw_watcher *watcher, int fd, int8_t *assigned, int first, struct pair *rate)
{
	int64_t began[2], ended[2];
	long events[2];

	for (int i = 0; i < 2; i++) {
		int who = i ^ first;

		began[who] = cpu_ns();
		events[who] = who ? drain_socket(fd, assigned) : drain(watcher);
		ended[who] = cpu_ns();
	}
	need(events[0] == PEERS && events[1] == PEERS, "both receive every id");
	sample(rate, events[0] * 1e6 / (ended[0] - began[0]), events[1] * 1e6 / (ended[1] - began[1]));
}

void measure_nsids(int rounds)
{
	struct pair assigned = { .n = 0 }, gone = { .n = 0 };
	int8_t *ids = calloc(1 << 20, 1);
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), peers[PEERS], fd = raw_socket();
	nsw_watcher *watcher = open_watcher(NSW_SOURCE_NSID);

	need(home >= 0 && ids, "this namespace");
	drain(watcher);
	for (int round = 0; round < rounds; round++) {
		const struct timespec moment = { 0, 1000000 };
		int left = PEERS, probe;

		for (int i = 0; i < PEERS; i++) {
			need(unshare(CLONE_NEWNET) == 0, "unshare");
			peers[i] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
			need(peers[i] >= 0, "a peer");
		}
		need(setns(home, CLONE_NEWNET) == 0, "setns");
		for (int i = 0; i < PEERS; i++) {
			int32_t nsid;

			need(nsid_assign(peers[i], -1, &nsid) == 0, "nsid_assign");
		}
		drain_both(watcher, fd, ids, round % 2, &assigned);
		/* another socket reports when the kernel has removed all of them */
		probe = raw_socket();
		for (int i = 0; i < PEERS; i++)
			close(peers[i]);
		while (left > 0) {
			char buffer[8192];

			if (recv(probe, buffer, sizeof(buffer), 0) > 0)
				left--;
			else
				nanosleep(&moment, NULL);
		}
		close(probe);
		drain_both(watcher, fd, ids, round % 2, &gone);
	}
	nsw_close(watcher);
	close(fd);
	close(home);
	free(ids);
	report("ids assigned", "events/ms", &assigned, 0.6, 1);
	report("ids gone", "events/ms", &gone, 0.6, 1);
}
