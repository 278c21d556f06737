/*
 * The library in a process that uses fork, threads, cancellation and longjmp, and closes descriptors.
 * Run in a sandbox, also under valgrind and AddressSanitizer; ends with "N passed, N failed".
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <nswatch.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int passed, failed;

#define CHECK(condition) check((condition) != 0, #condition, __LINE__)

/* The variant under test, and the target of messages: a standard error that stays open. */
static const char *variant = "";
static int messages;

static void check(int good, const char *what, int line)
{
	/* threads check too */
	__atomic_add_fetch(good ? &passed : &failed, 1, __ATOMIC_RELAXED);
	if (!good)
		dprintf(messages, "tests/api/host.c:%d: %s%s%s\n", line, what, *variant ? ": " : "", variant);
}

/* Reads the first line of a file of a thread of this process. Returns whether it could. */
static int line_of(const char *thread, const char *name, char line[64])
{
	char path[320];
	FILE *file;
	int good;

	snprintf(path, sizeof(path), "/proc/self/task/%s/%s", thread, name);
	file = fopen(path, "re");
	good = file && fgets(line, 64, file);
	if (file)
		fclose(file);
	return good;
}

/* The system call that a thread waits in; -1: it runs. */
static long call_of(const char *thread)
{
	char line[64];

	return line_of(thread, "syscall", line) && *line != 'r' ? strtol(line, NULL, 10) : -1;
}

/* Whether this is ppoll(2), which has two numbers where a long has 32 bits; likewise futex(2). */
static int is_ppoll(long call)
{
#ifdef SYS_ppoll_time64
	if (call == SYS_ppoll_time64)
		return 1;
#endif
	return call == SYS_ppoll;
}

static int is_futex(long call)
{
#ifdef SYS_futex_time64
	if (call == SYS_futex_time64)
		return 1;
#endif
	return call == SYS_futex;
}

/* Whether a reader thread of the library works. */
static int is_reader_busy(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	char line[64];
	int busy = 0;

	while (!busy && dir && (entry = readdir(dir)))
		if (line_of(entry->d_name, "comm", line) && strcmp(line, "nswatch\n") == 0) {
			long call = call_of(entry->d_name);

			busy = !is_ppoll(call) && !is_futex(call);
		}
	if (dir)
		closedir(dir);
	return busy;
}

/* Runs it in a child of fork, whose failures count here. */
static void in_child(void (*body)(void *), void *argument)
{
	time_t end = time(NULL) + 60;
	int status = -1;
	pid_t child;

	/* what it uses at the fork stays open in the child */
	while (is_reader_busy() && time(NULL) < end)
		sched_yield();
	child = fork();
	if (child == 0) {
		failed = 0;
		alarm(120);
		body(argument);
		_exit(failed != 0);
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* Sets or clears the effective CAP_SYS_ADMIN, without which another backend notices mounts. */
static void admin(int wanted)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	CHECK(syscall(SYS_capget, &header, data) == 0);
	data[0].effective &= ~(1u << CAP_SYS_ADMIN);
	if (wanted)
		data[0].effective |= data[0].permitted & 1u << CAP_SYS_ADMIN;
	CHECK(syscall(SYS_capset, &header, data) == 0);
}

static const struct how {
	const char *name;
	uint32_t source, flags, queue;
	int without_admin;
} HOWS[] = {
	{ "names", NSW_SOURCE_NAMED, NSW_MOUNT_EVENTS, 0, 0 },
	{ "names by AIO", NSW_SOURCE_NAMED, NSW_MOUNT_EVENTS, 0, 1 },
	{ "names, prepared", NSW_SOURCE_NAMED, NSW_PREPARE, 0, 0 },
	{ "ids", NSW_SOURCE_NSID, 0, 0, 0 },
	/* with every right: without, valgrind cannot follow the child that makes a post */
	{ "all", NSW_SOURCE_ALL, 0, 0, 0 },
	{ "names, queue that blocks", NSW_SOURCE_NAMED, NSW_MOUNT_EVENTS, NSW_QUEUE_BLOCK, 0 },
	{ "names by AIO, queue that drops", NSW_SOURCE_NAMED, NSW_MOUNT_EVENTS, NSW_QUEUE_DROP_NEWEST, 1 },
	{ "ids, queue that drops", NSW_SOURCE_NSID, 0, NSW_QUEUE_DROP_OLDEST, 0 },
};
#define MANY (sizeof(HOWS) / sizeof(*HOWS))

static nsw_watcher *open_as(const struct how *how)
{
	nsw_options *o = nsw_options_new();
	nsw_watcher *watcher = NULL;

	variant = how->name;
	CHECK(nsw_options_set_flags(o, how->flags) == 0);
	CHECK(!how->queue || nsw_options_set_queue(o, 100, how->queue) == 0);
	/* names: a timer too */
	CHECK(how->source != NSW_SOURCE_NAMED || nsw_options_set_settle(o, 1) == 0);
	if (how->without_admin)
		admin(0);
	CHECK(nsw_open(how->source, o, &watcher) == 0);
	if (how->without_admin)
		admin(1);
	nsw_options_free(o);
	return watcher;
}

/* Takes events up to one of this type. */
static const nsw_event *until(nsw_watcher *watcher, uint32_t type)
{
	const nsw_event *event = NULL;

	while (nsw_wait_event(watcher, 20000, &event) == 1)
		if (nsw_event_type(event) == type)
			return event;
	CHECK(!"the event comes");
	return NULL;
}

static void touch(const char *path)
{
	close(open(path, O_CREAT | O_RDONLY | O_CLOEXEC, 0));
}

/* The watcher works, to the last of its descriptors. */
static void check_works(nsw_watcher *watcher, const struct how *how)
{
	if (how->source == NSW_SOURCE_NSID) {
		int32_t nsid = -1;
		int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

		/* the process's own namespace can have an nsid as well */
		CHECK(nsid_assign(fd, -1, &nsid) == 0 || nsid_get_for_fd(fd, &nsid) == 0);
		close(fd);
		CHECK(nsw_resync(watcher) == 0);
		until(watcher, NSW_EVENT_SYNCED);
		return;
	}
	if (how->source == NSW_SOURCE_ALL) {
		CHECK(nsw_resync(watcher) == 0);
		until(watcher, NSW_EVENT_SYNCED);
		return;
	}
	touch("/run/netns/later");
	CHECK(until(watcher, NSW_EVENT_CREATED) != NULL);
	CHECK(mount("/proc/self/ns/net", "/run/netns/later", "", MS_BIND, NULL) == 0);
	CHECK(until(watcher, NSW_EVENT_READY) != NULL);
	CHECK(umount2("/run/netns/later", MNT_DETACH) == 0 && unlink("/run/netns/later") == 0);
	until(watcher, NSW_EVENT_DELETED);
}

/* A watcher, and one of its events. */
struct lent {
	nsw_watcher *watcher;
	const nsw_event *event;
	int before;
	int thread;
	uint64_t known;
};

static void refuse_child(void *argument)
{
	struct lent *lent = argument;
	const nsw_event *event = (const nsw_event *)&passed;

	for (int times = 0; times < 3; times++) {
		CHECK(nsw_next_event(lent->watcher, &event) == -ECHILD);
		CHECK(nsw_wait_event(lent->watcher, 0, &event) == -ECHILD);
		CHECK(nsw_wait_event(lent->watcher, -1, &event) == -ECHILD);
		CHECK(nsw_resync(lent->watcher) == -ECHILD);
		CHECK(nsw_open_netns(lent->watcher, lent->event) == -ECHILD);
		CHECK(strcmp(nsw_error(lent->watcher), "") == 0);
	}
	CHECK(event == (const nsw_event *)&passed);
	CHECK(nsw_fd(lent->watcher) >= 0);
	CHECK(nsw_stat(lent->watcher, NSW_STAT_KNOWN) == lent->known);
}

static void use_and_close(void *argument)
{
	struct lent *lent = argument;

	refuse_child(lent);
	nsw_close(lent->watcher);
	CHECK(descriptors() == lent->before);
}

/* A child can use its own watcher, but the next child cannot. */
static void open_own(void *argument)
{
	struct lent own = { .before = descriptors() };

	CHECK(nsw_open(NSW_SOURCE_NAMED, NULL, &own.watcher) == 0);
	own.event = until(own.watcher, NSW_EVENT_SYNCED);
	own.known = nsw_stat(own.watcher, NSW_STAT_KNOWN);
	refuse_child(argument);
	in_child(use_and_close, &own);
	in_child(refuse_child, argument);
	nsw_close(own.watcher);
	use_and_close(argument);
}

static void forks(void)
{
	for (size_t i = 0; i < MANY; i++) {
		struct lent lent = { .before = descriptors() };
		const nsw_event *event;

		lent.watcher = open_as(&HOWS[i]);
		/* in the middle of the replay */
		CHECK(nsw_wait_event(lent.watcher, 20000, &lent.event) == 1);
		lent.known = nsw_stat(lent.watcher, NSW_STAT_KNOWN);
		in_child(use_and_close, &lent);
		check_works(lent.watcher, &HOWS[i]);
		/* and while there is nothing to do */
		while (nsw_wait_event(lent.watcher, 50, &event) == 1)
			lent.event = event;
		lent.known = nsw_stat(lent.watcher, NSW_STAT_KNOWN);
		in_child(open_own, &lent);
		check_works(lent.watcher, &HOWS[i]);
		nsw_close(lent.watcher);
		CHECK(descriptors() == lent.before);
	}
}

/* Parent and child are both process 1. */
static void as_first_process(void *argument)
{
	struct lent *lent = argument;

	CHECK(getpid() == 1);
	if (!lent->watcher) {
		const struct how *how = &HOWS[lent->before];

		lent->before = descriptors();
		lent->watcher = open_as(how);
		CHECK(nsw_wait_event(lent->watcher, 20000, &lent->event) == 1);
		lent->known = nsw_stat(lent->watcher, NSW_STAT_KNOWN);
		CHECK(unshare(CLONE_NEWPID) == 0);
		in_child(as_first_process, lent);
		check_works(lent->watcher, how);
	} else {
		refuse_child(lent);
	}
	nsw_close(lent->watcher);
	CHECK(descriptors() == lent->before);
}

static void into_pid_namespace(void *argument)
{
	CHECK(unshare(CLONE_NEWPID) == 0);
	in_child(as_first_process, argument);
}

static void first_processes(void)
{
	for (size_t i = 0; i < MANY; i++) {
		struct lent lent = { .before = (int)i };

		/* it requires a /proc of its own */
		if (HOWS[i].source == NSW_SOURCE_ALL)
			continue;
		in_child(into_pid_namespace, &lent);
	}
}

static void *take_one(void *argument)
{
	struct lent *lent = argument;
	int rc;

	__atomic_store_n(&lent->thread, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
	/* busy: the main thread finds out whether this one is in the call */
	while ((rc = nsw_wait_event(lent->watcher, -1, &lent->event)) == -EBUSY)
		sched_yield();
	CHECK(rc == 1);
	return NULL;
}

/* Waits until that thread is in the call, and waits for the descriptor. */
static void until_it_waits(struct lent *lent)
{
	const nsw_event *event = (const nsw_event *)&passed;
	time_t end = time(NULL) + 60;
	char thread[16];
	int rc;

	while ((rc = nsw_next_event(lent->watcher, &event)) == 0)
		sched_yield();
	CHECK(rc == -EBUSY);
	snprintf(thread, sizeof(thread), "%d", __atomic_load_n(&lent->thread, __ATOMIC_ACQUIRE));
	while (!is_ppoll(call_of(thread)) && time(NULL) < end)
		sched_yield();
	CHECK(is_ppoll(call_of(thread)));
	CHECK(event == (const nsw_event *)&passed);
}

static void drain(nsw_watcher *watcher)
{
	const nsw_event *event;

	while (nsw_wait_event(watcher, 50, &event) == 1)
		;
}

/* While one thread waits another one gets -EBUSY, and a child -ECHILD. */
static void busy(void)
{
	for (size_t i = 0; i < MANY; i++) {
		struct lent lent = { .before = descriptors() };
		const nsw_event *event = (const nsw_event *)&passed;
		pthread_t thread;

		if (HOWS[i].source != NSW_SOURCE_NAMED)
			continue;
		lent.watcher = open_as(&HOWS[i]);
		/* takes all events that would wake the thread */
		drain(lent.watcher);
		lent.known = nsw_stat(lent.watcher, NSW_STAT_KNOWN);
		CHECK(pthread_create(&thread, NULL, take_one, &lent) == 0);
		until_it_waits(&lent);
		CHECK(nsw_next_event(lent.watcher, &event) == -EBUSY);
		CHECK(nsw_wait_event(lent.watcher, -1, &event) == -EBUSY);
		CHECK(nsw_resync(lent.watcher) == -EBUSY);
		CHECK(nsw_open_netns(lent.watcher, NULL) == -EBUSY);
		CHECK(strcmp(nsw_error(lent.watcher), "") == 0);
		CHECK(event == (const nsw_event *)&passed);
		CHECK(nsw_fd(lent.watcher) >= 0);
		CHECK(nsw_stat(lent.watcher, NSW_STAT_KNOWN) == lent.known);
		in_child(use_and_close, &lent);
		touch("/run/netns/wakes");
		CHECK(pthread_join(thread, NULL) == 0);
		CHECK(nsw_event_type(lent.event) == NSW_EVENT_CREATED);
		CHECK(strcmp(nsw_error(lent.watcher), "") == 0);
		unlink("/run/netns/wakes");
		until(lent.watcher, NSW_EVENT_DELETED);
		nsw_close(lent.watcher);
		CHECK(descriptors() == lent.before);
	}
}

static long taken;

/* Takes events as fast as it can: one thread gets each. */
static void *take_many(void *argument)
{
	nsw_watcher *watcher = argument;
	const nsw_event *event;

	while (__atomic_load_n(&taken, __ATOMIC_RELAXED) < 2000) {
		int rc = nsw_next_event(watcher, &event);

		if (rc != 0 && rc != 1 && rc != -EBUSY)
			CHECK(!"an event, none, or -EBUSY");
		if (rc == 1)
			__atomic_add_fetch(&taken, 1, __ATOMIC_RELAXED);
		nsw_stat(watcher, NSW_STAT_QUEUED);
		sched_yield();
	}
	return NULL;
}

static void two_threads(void)
{
	static const uint32_t queues[] = { 0, NSW_QUEUE_BLOCK, NSW_QUEUE_DROP_NEWEST };

	for (size_t i = 0; i < sizeof(queues) / sizeof(*queues); i++) {
		const struct how how = { "two threads", NSW_SOURCE_NAMED, NSW_NO_REPLAY, queues[i], 0 };
		nsw_watcher *watcher = NULL;
		nsw_options *o = nsw_options_new();
		pthread_t threads[2];

		variant = how.name;
		taken = 0;
		CHECK(nsw_options_set_flags(o, how.flags) == 0);
		CHECK(!how.queue || nsw_options_set_queue(o, 10, how.queue) == 0);
		CHECK(nsw_open(how.source, o, &watcher) == 0);
		nsw_options_free(o);
		for (int n = 0; n < 2; n++)
			CHECK(pthread_create(&threads[n], NULL, take_many, watcher) == 0);
		while (__atomic_load_n(&taken, __ATOMIC_RELAXED) < 2000) {
			touch("/run/netns/comes");
			unlink("/run/netns/comes");
		}
		for (int n = 0; n < 2; n++)
			CHECK(pthread_join(threads[n], NULL) == 0);
		drain(watcher);
		CHECK(nsw_resync(watcher) == 0);
		until(watcher, NSW_EVENT_SYNCED);
		nsw_close(watcher);
	}
}

/* Is cancelled before it calls, at the worst moment, and makes every call. */
static void *cancelled_early(void *argument)
{
	struct nsw_netns netns;
	nsw_watcher *watcher = NULL;
	const nsw_event *event;
	int32_t nsid, list[4];
	size_t count;
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), same;

	CHECK(pthread_cancel(pthread_self()) == 0);
	for (size_t i = 0; i < MANY; i++) {
		nsw_options *o = nsw_options_new();

		CHECK(nsw_options_set_dir(o, "/run/netns") == 0);
		CHECK(nsw_options_set_flags(o, HOWS[i].flags) == 0);
		CHECK(!HOWS[i].queue || nsw_options_set_queue(o, 100, HOWS[i].queue) == 0);
		CHECK(nsw_open(HOWS[i].source, o, &watcher) == 0);
		CHECK(nsw_wait_event(watcher, 20000, &event) == 1);
		CHECK(nsw_resync(watcher) == 0);
		until(watcher, NSW_EVENT_SYNCED);
		CHECK(nsw_wait_event(watcher, 10, &event) >= 0);
		CHECK(nsw_next_event(watcher, &event) >= 0);
		/* the last event may be about another process's namespace, which can be opened */
		if (HOWS[i].source != NSW_SOURCE_ALL)
			CHECK(nsw_open_netns(watcher, event) < 0);
		nsw_close(watcher);
		nsw_options_free(o);
	}
	CHECK(nsw_netns_for_pid(getpid(), &netns) == 0);
	CHECK(nsw_netns_for_fd(fd, &netns) == 0);
	CHECK(nsw_netns_for_name("/proc/self/ns/net", &netns) == 0);
	CHECK(nsw_netns_for_nsid(INT32_MAX, &netns) == -ENOENT);
	same = nsw_netns_open(&netns, "/proc/self/ns/net");
	CHECK(same >= 0);
	CHECK(nsw_netns_is_alive(&netns) != 0);
	CHECK(nsw_feature(NSW_FEATURE_MOUNT_EVENTS) >= 0);
	CHECK(nsid_get_for_pid(getpid(), &nsid) == 0);
	CHECK(nsid_get_for_fd(fd, &nsid) == 0);
	CHECK(nsid_get_for_name("/proc/self/ns/net", &nsid) == 0);
	CHECK(nsid_get_as_seen_from(fd, fd, &nsid) == 0);
	CHECK(nsid_list(list, 4, &count) == 0);
	/* the cancellation acts here */
	close(same);
	close(fd);
	pthread_testcancel();
	*(int *)argument = 1;
	return NULL;
}

static void *wait_and_test(void *argument)
{
	take_one(argument);
	pthread_testcancel();
	CHECK(!"a cancelled thread ends after the call");
	return NULL;
}

static void cancellation(void)
{
	pthread_t thread;
	void *result;
	int went_on = 0;

	CHECK(pthread_create(&thread, NULL, cancelled_early, &went_on) == 0);
	CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED && !went_on);

	for (size_t i = 0; i < MANY; i++) {
		struct lent lent = { 0 };

		if (HOWS[i].source != NSW_SOURCE_NAMED)
			continue;
		lent.watcher = open_as(&HOWS[i]);
		drain(lent.watcher);
		CHECK(pthread_create(&thread, NULL, wait_and_test, &lent) == 0);
		until_it_waits(&lent);
		CHECK(pthread_cancel(thread) == 0);
		usleep(10000);
		CHECK(nsw_resync(lent.watcher) == -EBUSY);
		touch("/run/netns/wakes");
		CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
		unlink("/run/netns/wakes");
		until(lent.watcher, NSW_EVENT_DELETED);
		check_works(lent.watcher, &HOWS[i]);
		nsw_close(lent.watcher);
	}
}

static sigjmp_buf out;

static void jump(int signal)
{
	(void)signal;
	siglongjmp(out, 1);
}

static void longjmps(void)
{
	struct sigaction action = { .sa_handler = jump }, before;

	CHECK(sigaction(SIGALRM, &action, &before) == 0);
	for (size_t i = 0; i < MANY; i++) {
		static const struct itimerval soon = { .it_value = { 0, 30000 } };
		int fds = descriptors();
		nsw_watcher *volatile watcher;
		const nsw_event *event;

		/* other processes make namespaces all the time: the signal would interrupt a census */
		if (HOWS[i].source == NSW_SOURCE_ALL)
			continue;
		watcher = open_as(&HOWS[i]);

		drain(watcher);
		if (!sigsetjmp(out, 1)) {
			CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
			for (;;)
				CHECK(nsw_wait_event(watcher, -1, &event) == 1);
		}
		for (int times = 0; times < 3; times++) {
			CHECK(nsw_next_event(watcher, &event) == -EBUSY);
			CHECK(nsw_wait_event(watcher, -1, &event) == -EBUSY);
			CHECK(nsw_resync(watcher) == -EBUSY);
		}
		nsw_stat(watcher, NSW_STAT_KNOWN);
		nsw_close(watcher);
		CHECK(descriptors() == fds);
	}
	CHECK(sigaction(SIGALRM, &before, NULL) == 0);
}

static void close_standard(void)
{
	for (int fd = 0; fd < 3; fd++)
		close(fd);
}

/* A daemon has closed its standard descriptors: none of the library's takes their place. */
static void without_standard(void *unused)
{
	struct nsw_netns netns;
	int by_path, by_cookie, others[128];

	(void)unused;
	CHECK(symlink("/proc/self/ns/net", "/run/netns/ready") == 0);
	CHECK(nsw_netns_for_name("ready", &netns) == 0);
	for (size_t i = 0; i < MANY; i++) {
		nsw_watcher *watcher;

		close_standard();
		for (int fd = 0; fd < 128; fd++)
			others[fd] = fcntl(fd, F_GETFD);
		watcher = open_as(&HOWS[i]);
		CHECK(nsw_fd(watcher) > 2);
		if (HOWS[i].source == NSW_SOURCE_NAMED) {
			int fd = nsw_open_netns(watcher, until(watcher, NSW_EVENT_READY));

			CHECK(fd > 2 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
			close(fd);
		}
		until(watcher, NSW_EVENT_SYNCED);
		for (int fd = 0; fd < 128; fd++) {
			int flags = fcntl(fd, F_GETFD);

			CHECK(flags == others[fd] || (fd > 2 && flags == FD_CLOEXEC));
		}
		check_works(watcher, &HOWS[i]);
		CHECK(fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 && fcntl(2, F_GETFD) < 0);
		nsw_close(watcher);
	}
	by_path = nsw_netns_open(&netns, "/run/netns/ready");
	CHECK(by_path > 2 && fcntl(by_path, F_GETFD) == FD_CLOEXEC);
	by_cookie = netns.cookie ? nsw_netns_open(&netns, NULL) : 3;
	/* it may require a privilege */
	CHECK(by_cookie > 2 || by_cookie == -EPERM);
	CHECK(unlink("/run/netns/ready") == 0);
}

/* The process closes all descriptors, including those of the library. */
static void closed(void *unused)
{
	(void)unused;
	for (size_t i = 0; i < MANY; i++) {
		int first = open("/dev/null", O_RDONLY | O_CLOEXEC);
		nsw_watcher *watcher = open_as(&HOWS[i]);
		const nsw_event *event;
		int rc;

		drain(watcher);
		for (int fd = first; fd < first + 32; fd++)
			close(fd);
		/* a reader thread polls before it notices */
		for (int times = 0; times < 3; times++) {
			while ((rc = nsw_wait_event(watcher, 1000, &event)) == 1)
				;
			CHECK(rc == -EBADF);
			CHECK(nsw_next_event(watcher, &event) == -EBADF);
			CHECK(nsw_resync(watcher) == -EBADF);
		}
		nsw_stat(watcher, NSW_STAT_KNOWN);
		nsw_close(watcher);
	}
}

static void closed_standard(void)
{
	in_child(without_standard, NULL);
}

static void closed_all(void)
{
	in_child(closed, NULL);
}

static const struct {
	const char *name;
	void (*run)(void);
} TESTS[] = {
	{ "forks", forks },
	{ "first_processes", first_processes },
	{ "busy", busy },
	{ "two_threads", two_threads },
	{ "cancellation", cancellation },
	{ "longjmps", longjmps },
	{ "closed_standard", closed_standard },
	{ "closed_all", closed_all },
};

/* Runs all of them, or the named one. */
int main(int argc, char **argv)
{
	messages = fcntl(2, F_DUPFD_CLOEXEC, 100);
	CHECK(mkdir("/run/netns", 0755) == 0);
	touch("/run/netns/old");
	for (size_t i = 0; i < sizeof(TESTS) / sizeof(*TESTS); i++)
		if (argc < 2 || strcmp(argv[1], TESTS[i].name) == 0)
			TESTS[i].run();
	printf("%d passed, %d failed\n", passed, failed);
	return failed != 0;
}
