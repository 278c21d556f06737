/*
 * Measures how the cost of nswatch grows with the number of names, namespaces, watchers, mounts and nsids. As root:
 *
 *     tests/sandbox scale NSWATCH names|namespaces|watchers|mounts|nsids|records
 *
 * NSWATCH is the command.
 */
#include "scale.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST 10000

static pid_t processes[MOST];
static int made;

void point(const char *curve, int count, double value)
{
	printf("%s\t%d\t%g\n", curve, count, value);
	fflush(stdout);
}

void pause_us(long us)
{
	const struct timespec time = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&time, NULL);
}

nsw_watcher *open_with(uint32_t source, const nsw_options *options)
{
	nsw_watcher *watcher;

	errno = -nsw_open(source, (nsw_options *)options, &watcher);
	need(errno == 0, "nsw_open");
	return watcher;
}

void until_synced(nsw_watcher *watcher)
{
	const nsw_event *event;

	do
		need(nsw_wait_event(watcher, 60000, &event) == 1, "events until SYNCED");
	while (nsw_event_type(event) != NSW_EVENT_SYNCED);
}

long take_all(nsw_watcher *watcher)
{
	const nsw_event *event;
	long events = 0;
	int rc;

	while ((rc = nsw_next_event(watcher, &event)) == 1)
		events++;
	errno = -rc;
	need(rc == 0, "nsw_next_event");
	return events;
}

void until_netns(nsw_watcher *watcher, uint32_t type, uint64_t ino)
{
	const nsw_event *event;

	do
		need(nsw_wait_event(watcher, 20000, &event) == 1, "an event of a namespace");
	while (nsw_event_type(event) != type || nsw_event_ino(event) != ino);
}

/* Ends with its parent, and keeps none of its descriptors but one. */
static void begin_child(int keep)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	need(keep < 0 || dup2(keep, 3) == 3, "dup2");
	close_range(keep < 0 ? 3 : 4, ~0u, 0);
}

int make_processes(int count)
{
	struct { int made, failed; } *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int failed = 0;

	need(shared != MAP_FAILED && count <= MOST, "mmap");
	for (made = 0; made < count; made++) {
		pid_t pid = fork();

		if (pid == 0) {
			begin_child(-1);
			__atomic_add_fetch(unshare(CLONE_NEWNET) == 0 ? &shared->made : &shared->failed, 1, __ATOMIC_SEQ_CST);
			for (;;)
				pause();
		}
		if (pid < 0)
			break;
		processes[made] = pid;
	}
	do {
		pause_us(1000);
		failed = __atomic_load_n(&shared->failed, __ATOMIC_SEQ_CST);
	} while (__atomic_load_n(&shared->made, __ATOMIC_SEQ_CST) + failed < made);
	munmap(shared, sizeof(*shared));
	return made - failed;
}

void kill_processes(void)
{
	for (int i = 0; i < made; i++)
		kill(processes[i], SIGKILL);
	for (int i = 0; i < made; i++)
		waitpid(processes[i], NULL, 0);
}

double fork_us(void)
{
	volatile int64_t took = cpu_ns();
	pid_t pid = vfork();

	if (pid == 0)
		_exit(0);
	took = cpu_ns() - took;
	need(pid > 0 && waitpid(pid, NULL, 0) == pid, "vfork");
	return took / 1e3;
}

struct maker start_maker(void)
{
	struct maker maker;
	int pair[2];

	need(pipe2(pair, O_CLOEXEC) == 0, "pipe2");
	maker.order = pair[1];
	maker.pid = fork();
	need(maker.pid >= 0, "fork");
	if (maker.pid == 0) {
		char byte;

		begin_child(pair[0]);
		if (read(3, &byte, 1) == 1)
			need(unshare(CLONE_NEWNET) == 0, "unshare");
		for (;;)
			pause();
	}
	close(pair[0]);
	return maker;
}

uint64_t make_namespace(struct maker *maker)
{
	struct stat own, its;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", maker->pid);
	need(write(maker->order, "", 1) == 1 && stat("/proc/self/ns/net", &own) == 0, "a namespace");
	do {
		pause_us(200);
		need(stat(path, &its) == 0, path);
	} while (its.st_ino == own.st_ino);
	return its.st_ino;
}

void end_maker(struct maker *maker)
{
	need(kill(maker->pid, SIGKILL) == 0 && waitpid(maker->pid, NULL, 0) == maker->pid, "kill");
	close(maker->order);
}

int main(int argc, char **argv)
{
	const struct rlimit many = { 200000, 200000 };
	struct rlimit files;

	need(argc == 3, "usage: scale NSWATCH PART");
	need(mkdir(NETNS, 0755) == 0 || errno == EEXIST, NETNS);
	/* what cannot be raised limits the largest counts */
	setrlimit(RLIMIT_NPROC, &many);
	setrlimit(RLIMIT_NOFILE, &many);
	need(getrlimit(RLIMIT_NOFILE, &files) == 0, "getrlimit");
	files.rlim_cur = files.rlim_max;
	need(setrlimit(RLIMIT_NOFILE, &files) == 0, "setrlimit");
	if (strcmp(argv[2], "names") == 0)
		scale_names();
	else if (strcmp(argv[2], "namespaces") == 0)
		scale_namespaces(argv[1]);
	else if (strcmp(argv[2], "watchers") == 0)
		scale_watchers();
	else if (strcmp(argv[2], "mounts") == 0)
		scale_mounts();
	else if (strcmp(argv[2], "nsids") == 0)
		scale_nsids();
	else if (strcmp(argv[2], "records") == 0)
		scale_records();
	else
		return 2;
	return 0;
}
