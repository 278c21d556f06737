/* The floor for all namespaces: the same mechanisms of the kernel, without opening or identifying a namespace. */
#include "floor.h"

#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NEWNSID 88
#define DELNSID 89
#define GROUP_NSID 28
#define PAGES 64
#define CPUS 64
#define SEEN 4096

static struct ring {
	int fd;
	struct perf_event_mmap_page *page;
} rings[CPUS];
static int cpus, next_id, notifications, requests;

static void *enter(void *unused)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	int group = GROUP_NSID;

	(void)unused;
	need(unshare(CLONE_NEWNET) == 0, "unshare");
	notifications = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	requests = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	need(notifications >= 0 && requests >= 0, "socket");
	need(bind(notifications, (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
	need(setsockopt(notifications, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) == 0, "membership");
	return NULL;
}

void post_open(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = PERF_COUNT_SW_DUMMY };
	pthread_t thread;

	attr.namespaces = attr.comm_exec = attr.watermark = 1;
	attr.wakeup_watermark = 1;
	cpus = sysconf(_SC_NPROCESSORS_ONLN) < CPUS ? sysconf(_SC_NPROCESSORS_ONLN) : CPUS;
	for (int i = 0; i < cpus; i++) {
		rings[i].fd = syscall(SYS_perf_event_open, &attr, -1, i, -1, PERF_FLAG_FD_CLOEXEC);
		need(rings[i].fd >= 0, "perf_event_open");
		rings[i].page = mmap(NULL, (PAGES + 1) * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, rings[i].fd, 0);
		need(rings[i].page != MAP_FAILED, "mmap");
	}
	need(pthread_create(&thread, NULL, enter, NULL) == 0 && pthread_join(thread, NULL) == 0, "thread");
	next_id = 0;
}

int64_t post_birth(volatile uint64_t *ino)
{
	static struct {
		uint64_t ino;
		int64_t when;
	} seen[SEEN];
	struct pollfd polled[CPUS];
	int n = 0;

	for (;;) {
		for (int i = 0; i < cpus; i++)
			polled[i] = (struct pollfd){ rings[i].fd, POLLIN, 0 };
		need(poll(polled, cpus, 5000) > 0, "no record in time");
		for (int i = 0; i < cpus; i++) {
			char *data = (char *)rings[i].page + 4096;
			uint64_t head = __atomic_load_n(&rings[i].page->data_head, __ATOMIC_ACQUIRE);
			uint64_t tail = rings[i].page->data_tail, mask = PAGES * 4096 - 1;

			while (tail < head) {
				struct perf_event_header *header = (void *)(data + (tail & mask));

				/* records are multiples of 8 bytes, so no number of 8 bytes is split */
				if (header->type == PERF_RECORD_NAMESPACES && n < SEEN) {
					memcpy(&seen[n].ino, data + ((tail + 32) & mask), 8);
					seen[n++].when = now_ns();
				}
				tail += header->size;
			}
			__atomic_store_n(&rings[i].page->data_tail, tail, __ATOMIC_RELEASE);
		}
		while (!*ino)
			;
		for (int i = 0; i < n; i++)
			if (seen[i].ino == *ino)
				return seen[i].when;
	}
}

void post_watch(pid_t pid)
{
	struct {
		struct nlmsghdr header;
		struct rtgenmsg body __attribute__((aligned(4)));
		struct {
			uint16_t length, type;
			int32_t value;
		} id, whose;
	} request = { { sizeof(request), NEWNSID, NLM_F_REQUEST | NLM_F_ACK, 0, 0 }, { 0 }, { 8, 1, 0 }, { 8, 2, 0 } };
	char answer[256];

	request.id.value = next_id++;
	request.whose.value = pid;
	need(send(requests, &request, sizeof(request), 0) == sizeof(request), "send");
	need(recv(requests, answer, sizeof(answer), 0) > 0, "recv");
}

int64_t post_death(void)
{
	char message[4096];

	for (;;) {
		struct pollfd polled = { notifications, POLLIN, 0 };

		need(poll(&polled, 1, 5000) > 0, "no notification in time");
		need(recv(notifications, message, sizeof(message), 0) >= 28, "recv");
		if (((struct nlmsghdr *)message)->nlmsg_type == DELNSID)
			return now_ns();
	}
}

void post_close(void)
{
	for (int i = 0; i < cpus; i++) {
		munmap(rings[i].page, (PAGES + 1) * 4096);
		close(rings[i].fd);
	}
	close(notifications);
	close(requests);
}
