/* Nsids: the cost of a notification, against a loop of recv, and of a query, against its system calls. */
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* In a burst, and each alone. */
#define PEERS 500
#define ALONE 50
#define ALL (PEERS + ALONE)
#define QUERIES 500

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

/* Drains the same notifications through both, one after the other; adds up the time of each. */
static void drain_both(nsw_watcher *watcher, int fd, int8_t *assigned, int expected, int first, double ns[2])
{

	for (int i = 0; i < 2; i++) {
		int who = i ^ first;
		int64_t began = cpu_ns();
		long events = who ? drain_socket(fd, assigned) : drain(watcher);

		ns[who] += cpu_ns() - began;
		need(events == expected, "both receive every id");
	}
}

static void assign(int peer)
{
	int32_t nsid;

	need(nsid_assign(peer, -1, &nsid) == 0, "nsid_assign");
}

void measure_nsids(int rounds)
{
	struct pair assigned = { .n = 0 }, alone = { .n = 0 }, gone = { .n = 0 };
	int8_t *ids = calloc(1 << 20, 1);
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), peers[ALL], fd = raw_socket();
	nsw_watcher *watcher = open_watcher(NSW_SOURCE_NSID);

	need(home >= 0 && ids, "this namespace");
	drain(watcher);
	for (int round = 0; round < rounds; round++) {
		const struct timespec moment = { 0, 1000000 };
		double burst[2] = { 0, 0 }, each[2] = { 0, 0 }, end[2] = { 0, 0 };
		int left = ALL, probe;

		for (int i = 0; i < ALL; i++) {
			need(unshare(CLONE_NEWNET) == 0, "unshare");
			peers[i] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
			need(peers[i] >= 0, "a peer");
		}
		need(setns(home, CLONE_NEWNET) == 0, "setns");
		for (int i = 0; i < PEERS; i++)
			assign(peers[i]);
		drain_both(watcher, fd, ids, PEERS, round % 2, burst);
		sample(&assigned, PEERS * 1e6 / burst[0], PEERS * 1e6 / burst[1]);
		for (int i = PEERS; i < ALL; i++) {
			assign(peers[i]);
			drain_both(watcher, fd, ids, 1, i % 2, each);
		}
		sample(&alone, each[0] / 1e3 / ALONE, each[1] / 1e3 / ALONE);
		/* another socket reports when the kernel has removed all of them */
		probe = raw_socket();
		for (int i = 0; i < ALL; i++)
			close(peers[i]);
		while (left > 0) {
			char buffer[8192];

			if (recv(probe, buffer, sizeof(buffer), 0) > 0)
				left--;
			else
				nanosleep(&moment, NULL);
		}
		close(probe);
		drain_both(watcher, fd, ids, ALL, round % 2, end);
		sample(&gone, ALL * 1e6 / end[0], ALL * 1e6 / end[1]);
	}
	nsw_close(watcher);
	close(fd);
	close(home);
	free(ids);
	report("ids assigned", "events/ms", &assigned, RATE, 0.6);
	report("an id alone", "us", &alone, AT_MOST, 6);
	report("ids gone", "events/ms", &gone, RATE, 0.6);
}

/* Queries the nsid of a process with a socket of its own. */
static int query_by_hand(int32_t pid, int32_t *nsid)
{
	struct {
		struct nlmsghdr header;
		struct rtgenmsg general __attribute__((aligned(4)));
		struct rtattr attribute __attribute__((aligned(4)));
		int32_t value;
	} message = {
		.header = { .nlmsg_len = 28, .nlmsg_type = RTM_GETNSID, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 1 },
		.attribute = { .rta_len = 8, .rta_type = NETNSA_PID },
		.value = pid,
	};
	char answer[512];
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	ssize_t n = -1;

	if (fd >= 0 && send(fd, &message, sizeof(message), 0) == sizeof(message))
		n = recv(fd, answer, sizeof(answer), 0);
	close(fd);
	if (n < 28 || ((struct nlmsghdr *)answer)->nlmsg_type != RTM_NEWNSID)
		return -1;
	memcpy(nsid, answer + 24, sizeof(*nsid));
	return 0;
}

static double ns_of(int (*query)(int32_t, int32_t *))
{
	int64_t began = cpu_ns();
	int32_t nsid;

	for (int i = 0; i < QUERIES; i++)
		need(query(getpid(), &nsid) == 0, "the nsid of this process");
	return (double)(cpu_ns() - began) / QUERIES;
}

void measure_queries(int rounds)
{
	struct pair pair = { .n = 0 };

	for (int round = 0; round < rounds; round++)
		sample(&pair, ns_of(nsid_get_for_pid), ns_of(query_by_hand));
	report("nsid_get_for_pid()", "ns", &pair, RATIO, 1.2);
}
