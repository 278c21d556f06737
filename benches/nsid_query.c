/*
 * Measures nsid_get_for_pid() against its necessary system calls, in turns, in one run: socket, send, recv, close by hand;
 * the library's function. Prints both medians and the ratio.
 *
 *     make bench-nsid
 */
#define _GNU_SOURCE
#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <nswatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 401
#define CALLS 500

static int by_hand(int32_t pid, int32_t *nsid)
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

static double time_of(int (*ask)(int32_t, int32_t *), int32_t pid)
{
	struct timespec begin, end;
	int32_t nsid;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < CALLS; i++)
		if (ask(pid, &nsid) != 0)
			exit(1);
	clock_gettime(CLOCK_MONOTONIC, &end);
	return ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / CALLS;
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(void)
{
	static double hand[ROUNDS], library[ROUNDS], ratio[ROUNDS];
	int32_t pid = getpid();

	for (int i = 0; i < ROUNDS; i++) {
		hand[i] = time_of(by_hand, pid);
		library[i] = time_of(nsid_get_for_pid, pid);
		ratio[i] = library[i] / hand[i];
	}
	qsort(hand, ROUNDS, sizeof(*hand), order);
	qsort(library, ROUNDS, sizeof(*library), order);
	qsort(ratio, ROUNDS, sizeof(*ratio), order);
	printf("by hand %.0f ns, nsid_get_for_pid %.0f ns, ratio %.3f\n", hand[ROUNDS / 2], library[ROUNDS / 2],
	       ratio[ROUNDS / 2]);
	return ratio[ROUNDS / 2] <= 1.2 ? 0 : 1;
}
