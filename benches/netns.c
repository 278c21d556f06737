/*
 * Measures the cost of watching every network namespace, for the watcher and for the rest of the machine. As root, in a few
 * minutes:
 *
 *     tests/sandbox netns NSWATCH
 *
 * NSWATCH is the command. Births and deaths are measured in turns with a floor: a minimal C program with the same kernel
 * mechanisms, perf records and an observation post, which neither identifies nor opens a namespace.
 */
#define _GNU_SOURCE
#include <nswatch.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RTM_NEWNSID_ 88
#define RTM_DELNSID_ 89
#define GROUP_NSID 28
#define PAGES 64
#define CPUS 64
#define TURNS 5

static void need(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static double clock_us(clockid_t clock)
{
	struct timespec now;

	need(clock_gettime(clock, &now) == 0, "clock_gettime");
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static double now_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double percentile(double *values, int n, double p)
{
	qsort(values, n, sizeof(*values), ascending);
	return n ? values[(int)(p * (n - 1))] : 0;
}

/* Shared with a child that makes a namespace. */
static struct shared {
	volatile int go, stop;
	volatile double begun;
	volatile uint64_t ino;
	volatile double forks_us;
	volatile long forks;
} *shared;

static uint64_t own_ino(void)
{
	struct stat st;

	need(stat("/proc/self/ns/net", &st) == 0, "stat");
	return st.st_ino;
}

/* A child that waits for its turn, makes a namespace, and stays in it. */
static pid_t maker(void)
{
	pid_t pid;

	shared->go = 0;
	shared->ino = 0;
	pid = fork();
	need(pid >= 0, "fork");
	if (pid == 0) {
		while (!shared->go)
			usleep(100);
		shared->begun = now_us();
		need(unshare(CLONE_NEWNET) == 0, "unshare");
		shared->ino = own_ino();
		for (;;)
			pause();
	}
	return pid;
}

static void end(pid_t pid)
{
	need(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid, "kill");
}

/* A mechanism that reports births and deaths. `wait` returns when it has reported this one. */
struct way {
	void (*open)(void);
	double (*birth)(void);
	void (*watch)(pid_t pid);
	double (*death)(void);
	void (*close)(void);
};

static nsw_watcher *watcher;

static void our_open(void)
{
	const nsw_event *event;
	int rc = nsw_open(NSW_SOURCE_ALL, NULL, &watcher);

	if (rc == 0)
		while ((rc = nsw_next_event(watcher, &event)) > 0)
			;
	if (rc < 0) {
		fprintf(stderr, "nsw_open: %s\n", nsw_strerror(rc));
		exit(1);
	}
}

static double our_event(uint32_t type)
{
	static struct { uint64_t ino; double when; } seen[64];
	const nsw_event *event;
	int n = 0;

	for (;;) {
		need(nsw_wait_event(watcher, 5000, &event) == 1, "no event in time");
		if (nsw_event_type(event) == type && n < 64) {
			seen[n].ino = nsw_event_ino(event);
			seen[n++].when = now_us();
		}
		while (!shared->ino)
			;
		for (int i = 0; i < n; i++)
			if (seen[i].ino == shared->ino)
				return seen[i].when;
	}
}

static double our_birth(void)
{
	return our_event(NSW_EVENT_NETNS_NEW);
}

static void our_watch(pid_t pid)
{
	(void)pid;
	our_event(NSW_EVENT_NETNS_NEW);
}

static double our_death(void)
{
	return our_event(NSW_EVENT_NETNS_DEL);
}

static void our_close(void)
{
	nsw_close(watcher);
}

static struct ring {
	int fd;
	struct perf_event_mmap_page *page;
} rings[CPUS];
static int cpus;
static int post_events, post_requests, next_id;

static void *post(void *unused)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	int group = GROUP_NSID;

	(void)unused;
	need(unshare(CLONE_NEWNET) == 0, "unshare");
	post_events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	post_requests = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	need(post_events >= 0 && post_requests >= 0, "socket");
	need(bind(post_events, (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
	need(setsockopt(post_events, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) == 0, "membership");
	return NULL;
}

static void floor_open(void)
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
	need(pthread_create(&thread, NULL, post, NULL) == 0 && pthread_join(thread, NULL) == 0, "thread");
	next_id = 0;
}

/* Reads all records; returns the time of the one with this inode number. */
static double floor_birth(void)
{
	static uint64_t seen[4096];
	static double when[4096];
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
				if (header->type == PERF_RECORD_NAMESPACES && n < 4096) {
					memcpy(&seen[n], data + ((tail + 32) & mask), 8);
					when[n++] = now_us();
				}
				tail += header->size;
			}
			__atomic_store_n(&rings[i].page->data_tail, tail, __ATOMIC_RELEASE);
		}
		while (!shared->ino)
			;
		for (int i = 0; i < n; i++)
			if (seen[i] == shared->ino)
				return when[i];
	}
}

static void floor_watch(pid_t pid)
{
	struct {
		struct nlmsghdr header;
		struct rtgenmsg body __attribute__((aligned(4)));
		struct { uint16_t length, type; int32_t value; } id, whose;
	} request = { { sizeof(request), RTM_NEWNSID_, NLM_F_REQUEST | NLM_F_ACK, 0, 0 }, { 0 }, { 8, 1, 0 }, { 8, 2, 0 } };
	char answer[256];

	while (!shared->ino)
		usleep(100);
	request.id.value = next_id++;
	request.whose.value = pid;
	need(send(post_requests, &request, sizeof(request), 0) == sizeof(request), "send");
	need(recv(post_requests, answer, sizeof(answer), 0) > 0, "recv");
}

static double floor_death(void)
{
	char message[4096];

	for (;;) {
		struct pollfd polled = { post_events, POLLIN, 0 };
		ssize_t length;

		need(poll(&polled, 1, 5000) > 0, "no notification in time");
		length = recv(post_events, message, sizeof(message), 0);
		need(length >= 28, "recv");
		if (((struct nlmsghdr *)message)->nlmsg_type == RTM_DELNSID_)
			return now_us();
	}
}

static void floor_close(void)
{
	for (int i = 0; i < cpus; i++) {
		munmap(rings[i].page, (PAGES + 1) * 4096);
		close(rings[i].fd);
	}
	close(post_events);
	close(post_requests);
}

static const struct way ours = { our_open, our_birth, our_watch, our_death, our_close };
static const struct way least = { floor_open, floor_birth, floor_watch, floor_death, floor_close };

static int births(const struct way *way, double *us, int n)
{
	way->open();
	for (int i = 0; i < n; i++) {
		pid_t pid = maker();

		usleep(5000);
		shared->go = 1;
		us[i] = way->birth() - shared->begun;
		end(pid);
	}
	way->close();
	return n;
}

/* The kernel removes namespaces in batches of some 31 ms: at this distance none waits for another. */
static int deaths(const struct way *way, double *us, int n)
{
	way->open();
	for (int i = 0; i < n; i++) {
		pid_t pid = maker();
		double begun;

		shared->go = 1;
		way->watch(pid);
		usleep(120000);
		begun = now_us();
		end(pid);
		us[i] = way->death() - begun;
	}
	way->close();
	return n;
}

static void compare(const char *what, int (*measure)(const struct way *, double *, int), int each)
{
	static double our_us[4096], floor_us[4096];
	int n = 0;

	for (int turn = 0; turn < TURNS; turn++) {
		measure(&ours, our_us + n, each);
		n += measure(&least, floor_us + n, each);
	}
	printf("%-34s %8.0f %8.0f us   floor %8.0f %8.0f us   ratio of medians %.2f\n", what, percentile(our_us, n, .5),
	       percentile(our_us, n, .99), percentile(floor_us, n, .5), percentile(floor_us, n, .99),
	       percentile(our_us, n, .5) / percentile(floor_us, n, .5));
}

/* A process that makes that many calls a second, and measures each. */
static pid_t forker(int rate)
{
	pid_t pid;

	shared->stop = 0;
	shared->forks = 0;
	shared->forks_us = 0;
	pid = fork();
	need(pid >= 0, "fork");
	if (pid == 0) {
		double next = now_us();

		while (!shared->stop) {
			double begun = now_us();
			pid_t child = vfork();

			if (child == 0)
				_exit(0);
			need(child > 0, "vfork");
			shared->forks_us += now_us() - begun;
			shared->forks++;
			need(waitpid(child, NULL, 0) == child, "waitpid");
			next += 1e6 / rate;
			if (next > now_us() + 60)
				usleep(next - now_us() - 60);
			while (now_us() < next)
				;
		}
		_exit(0);
	}
	return pid;
}

static double forks(int rate, int watched, double *percent)
{
	const nsw_event *event;
	double begun, used;
	pid_t pid;

	if (watched)
		our_open();
	pid = forker(rate);
	begun = now_us();
	used = clock_us(CLOCK_PROCESS_CPUTIME_ID);
	while (now_us() < begun + 2e6) {
		if (watched)
			need(nsw_wait_event(watcher, 100, &event) >= 0, "nsw_wait_event");
		else
			usleep(100000);
	}
	*percent = (clock_us(CLOCK_PROCESS_CPUTIME_ID) - used) / (now_us() - begun) * 100;
	shared->stop = 1;
	need(waitpid(pid, NULL, 0) == pid, "waitpid");
	if (watched)
		our_close();
	return shared->forks_us / shared->forks;
}

static void measure_forks(int rate)
{
	double with[TURNS], without[TURNS], percent[TURNS], none;

	for (int turn = 0; turn < TURNS; turn++) {
		without[turn] = forks(rate, 0, &none);
		with[turn] = forks(rate, 1, &percent[turn]);
	}
	printf("%6d forks a second: vfork(2) takes %5.1f us, not watched %5.1f us: %+5.1f us; the reader takes %.2f %%\n", rate,
	       percentile(with, TURNS, .5), percentile(without, TURNS, .5),
	       percentile(with, TURNS, .5) - percentile(without, TURNS, .5), percentile(percent, TURNS, .5));
}

static void measure_busy(void)
{
	static double quiet[128], busy[128];
	pid_t pid;

	births(&ours, quiet, 100);
	pid = forker(1000);
	births(&ours, busy, 100);
	shared->stop = 1;
	need(waitpid(pid, NULL, 0) == pid, "waitpid");
	printf("birth beside 1000 forks a second: median %.0f us, 99th percentile %.0f us; alone %.0f and %.0f us\n",
	       percentile(busy, 100, .5), percentile(busy, 100, .99), percentile(quiet, 100, .5), percentile(quiet, 100, .99));
}

static double run_us(char *const *command)
{
	double begun = now_us();
	int status;
	pid_t pid = fork();

	need(pid >= 0, "fork");
	if (pid == 0) {
		need(dup2(open("/dev/null", O_WRONLY), 1) == 1, "dup2");
		execvp(command[0], command);
		_exit(127);
	}
	need(waitpid(pid, &status, 0) == pid && status == 0, command[0]);
	return now_us() - begun;
}

static long resident(void)
{
	long total, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	need(file && fscanf(file, "%ld %ld", &total, &pages) == 2, "statm");
	fclose(file);
	return pages * sysconf(_SC_PAGESIZE);
}

static void measure_census(int n, char *nswatch)
{
	char *list[] = { nswatch, "list", "--all", NULL }, *lsns[] = { "lsns", "-t", "net", NULL };
	double our_us[11], lsns_us[11], open_us;
	pid_t *pids = calloc(n, sizeof(*pids));
	long before;

	need(pids != NULL, "calloc");
	for (int i = 0; i < n; i++) {
		pids[i] = maker();
		shared->go = 1;
		while (!shared->ino)
			usleep(100);
	}
	for (int turn = 0; turn < 11; turn++) {
		our_us[turn] = run_us(list);
		lsns_us[turn] = run_us(lsns);
	}
	before = resident();
	open_us = now_us();
	our_open();
	open_us = now_us() - open_us;
	printf("%5d namespaces: nswatch list --all %7.1f ms, lsns -t net %7.1f ms: %.2f; to open a watcher %.1f ms, %ld KiB\n", n,
	       percentile(our_us, 11, .5) / 1e3, percentile(lsns_us, 11, .5) / 1e3,
	       percentile(our_us, 11, .5) / percentile(lsns_us, 11, .5), open_us / 1e3, (resident() - before) / 1024);
	our_close();
	for (int i = 0; i < n; i++)
		end(pids[i]);
	free(pids);
}

int main(int argc, char **argv)
{
	struct rlimit many = { 100000, 100000 };

	if (argc != 2) {
		fprintf(stderr, "usage: netns NSWATCH\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	setrlimit(RLIMIT_NPROC, &many);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(shared != MAP_FAILED, "mmap");
	printf("median, 99th percentile\n");
	compare("birth, from before unshare(2)", births, 40);
	compare("death, from before kill(2)", deaths, 20);
	measure_busy();
	measure_forks(100);
	measure_forks(1000);
	measure_forks(5000);
	measure_forks(10000);
	measure_census(10, argv[1]);
	measure_census(200, argv[1]);
	measure_census(1000, argv[1]);
	measure_census(5000, argv[1]);
	return 0;
}
