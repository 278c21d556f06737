/*
 * Every function of the ABI with every argument that it must survive, and the whole life of a watcher.
 * Run in a sandbox, also under valgrind and AddressSanitizer; ends with "N passed, N failed".
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <nswatch.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int passed, failed;

/* A failure of any function leaves this alone. */
static const struct nsw_netns UNTOUCHED = { 1, 2, 3, 4 };

#define CHECK(condition) check((condition) != 0, #condition, __LINE__)

static void check(int good, const char *what, int line)
{
	good ? passed++ : failed++;
	if (!good)
		fprintf(stderr, "tests/api/abi.c:%d: %s\n", line, what);
}

static void nulls(void)
{
	const nsw_event *event = (const nsw_event *)&passed;
	nsw_watcher *watcher = (nsw_watcher *)&passed;

	CHECK(nsw_open(NSW_SOURCE_NAMED, NULL, NULL) == -EINVAL);
	CHECK(nsw_open(0, NULL, &watcher) == -EINVAL);
	CHECK(nsw_open(UINT32_MAX, NULL, &watcher) == -EINVAL);
	CHECK(watcher == (nsw_watcher *)&passed);
	nsw_close(NULL);
	CHECK(nsw_fd(NULL) == -EINVAL);
	CHECK(nsw_next_event(NULL, &event) == -EINVAL);
	CHECK(nsw_wait_event(NULL, 0, &event) == -EINVAL);
	CHECK(nsw_wait_event(NULL, INT_MIN, NULL) == -EINVAL);
	CHECK(event == (const nsw_event *)&passed);
	CHECK(nsw_resync(NULL) == -EINVAL);
	CHECK(nsw_open_netns(NULL, NULL) == -EINVAL);
	CHECK(nsw_stat(NULL, NSW_STAT_KNOWN) == 0);
	CHECK(strcmp(nsw_error(NULL), "") == 0);
	CHECK(strcmp(nsw_options_error(NULL), "") == 0);

	CHECK(nsw_event_type(NULL) == 0);
	CHECK(nsw_event_flags(NULL) == 0);
	CHECK(nsw_event_time_ns(NULL) == 0);
	CHECK(nsw_event_name(NULL) == NULL);
	CHECK(nsw_event_name_len(NULL) == 0);
	CHECK(nsw_event_path(NULL) == NULL);
	CHECK(nsw_event_dev(NULL) == 0);
	CHECK(nsw_event_ino(NULL) == 0);
	CHECK(nsw_event_cookie(NULL) == 0);
	CHECK(nsw_event_pid(NULL) == 0);
	CHECK(nsw_event_nsid(NULL) == NSID_NOT_ASSIGNED);
	CHECK(nsw_event_origin(NULL) == NSID_NOT_ASSIGNED);
	CHECK(nsw_event_portid(NULL) == 0);
	CHECK(nsw_event_dropped(NULL) == 0);

	nsw_options_free(NULL);
	CHECK(nsw_options_set_flags(NULL, 0) == -EINVAL);
	CHECK(nsw_options_set_dir(NULL, "/run/netns") == -EINVAL);
}

static void nulls_of_identity(void)
{
	struct nsw_netns netns = UNTOUCHED;
	int32_t nsid = 123;

	CHECK(nsw_event_netns(NULL, &netns) == -EINVAL);
	CHECK(nsw_event_netns(NULL, NULL) == -EINVAL);
	CHECK(nsw_netns_for_fd(0, NULL) == -EINVAL);
	CHECK(nsw_netns_for_fd(-1, &netns) == -EBADF);
	CHECK(nsw_netns_for_fd(INT_MAX, &netns) == -EBADF);
	CHECK(nsw_netns_for_pid(1, NULL) == -EINVAL);
	CHECK(nsw_netns_for_pid(0, &netns) == -EINVAL);
	CHECK(nsw_netns_for_pid(INT32_MIN, &netns) == -EINVAL);
	CHECK(nsw_netns_for_pid(INT32_MAX, &netns) == -ESRCH);
	CHECK(nsw_netns_for_pidfd(0, NULL) == -EINVAL);
	CHECK(nsw_netns_for_pidfd(-1, &netns) == -EBADF);
	CHECK(nsw_netns_for_name("blue", NULL) == -EINVAL);
	CHECK(nsw_netns_for_name(NULL, &netns) == -EINVAL);
	CHECK(nsw_netns_for_name("", &netns) == -EINVAL);
	CHECK(nsw_netns_for_name("../blue", &netns) == -EINVAL);
	CHECK(nsw_netns_for_nsid(0, NULL) == -EINVAL);
	CHECK(nsw_netns_for_nsid(-1, &netns) == -EINVAL);
	CHECK(nsw_netns_open(NULL, NULL) == -EINVAL);
	CHECK(nsw_netns_open(NULL, "/proc/self/ns/net") == -EINVAL);
	CHECK(nsw_netns_same(NULL, &netns) == -EINVAL);
	CHECK(nsw_netns_same(&netns, NULL) == -EINVAL);
	CHECK(nsw_netns_is_alive(NULL) == -EINVAL);
	CHECK(nsid_get_for_pidfd(0, NULL) == -EINVAL);
	CHECK(nsid_get_for_pidfd(-1, &nsid) == -EBADF);
	CHECK(nsid_get_as_seen_from(0, 0, NULL) == -EINVAL);
	CHECK(nsid_get_as_seen_from(-1, 0, &nsid) == -EBADF);
	CHECK(memcmp(&netns, &UNTOUCHED, sizeof(netns)) == 0);
	CHECK(nsid == 123);
}

static void texts(void)
{
	CHECK(strcmp(nsw_event_type_name(NSW_EVENT_CREATED), "created") == 0);
	CHECK(strcmp(nsw_event_type_name(NSW_EVENT_OVERFLOW), "overflow") == 0);
	CHECK(strcmp(nsw_event_type_name(NSW_EVENT_NETNS_NEW), "netns_new") == 0);
	CHECK(strcmp(nsw_event_type_name(NSW_EVENT_NETNS_DEL), "netns_del") == 0);
	CHECK(strcmp(nsw_event_type_name(0), "unknown") == 0);
	CHECK(strcmp(nsw_event_type_name(UINT32_MAX), "unknown") == 0);
	CHECK(strcmp(nsw_strerror(0), "success") == 0);
	CHECK(strstr(nsw_strerror(-EMFILE), "fs.inotify.max_user_instances") != NULL);
	for (int rc = -4096; rc <= 4096; rc++)
		if (!nsw_strerror(rc) || !*nsw_strerror(rc))
			CHECK(!"a text for every number");
	CHECK(*nsw_strerror(INT_MIN) && *nsw_strerror(INT_MAX));

	char version[32];
	snprintf(version, sizeof(version), "%d.%d.%d", NSW_VERSION_MAJOR, NSW_VERSION_MINOR, NSW_VERSION_PATCH);
	CHECK(strcmp(nsw_version(), version) == 0);
}

static void options(void)
{
	nsw_options *o = nsw_options_new();

	CHECK(o != NULL);
	CHECK(nsw_options_set_flags(o, NSW_NO_REPLAY | NSW_NO_PARENT | NSW_DIR_EVENTS) == 0);
	CHECK(*nsw_options_error(o) == '\0');
	CHECK(nsw_options_set_flags(o, 0x80000000u) == -EINVAL);
	CHECK(strstr(nsw_options_error(o), "flag is unknown") != NULL);
	CHECK(nsw_options_set_flags(o, NSW_MOUNT_EVENTS | NSW_NO_MOUNT_EVENTS) == -EINVAL);
	CHECK(strstr(nsw_options_error(o), "exclude each other") != NULL);
	CHECK(nsw_options_set_flags(o, NSW_NO_MOUNT_EVENTS) == 0);
	CHECK(nsw_options_set_flags(o, NSW_NO_SYMLINKS) == 0);
	CHECK(nsw_options_set_flags(o, 0) == 0);
	CHECK(nsw_options_set_max_names(NULL, 0) == -EINVAL);
	CHECK(nsw_options_set_max_names(o, UINT32_MAX) == 0);
	CHECK(nsw_options_set_max_names(o, 0) == 0);
	CHECK(nsw_options_set_dir(o, NULL) == -EINVAL);
	CHECK(strstr(nsw_options_error(o), "the path is NULL") != NULL);
	CHECK(nsw_options_set_dir(o, "") == -EINVAL);
	CHECK(nsw_options_set_dir(o, "run/\033netns") == -EINVAL);
	CHECK(strstr(nsw_options_error(o), "cannot watch run/\\u{1b}netns: the path must be absolute") != NULL);
	CHECK(nsw_options_set_queue(o, 0, NSW_QUEUE_BLOCK) == -EINVAL);
	CHECK(strstr(nsw_options_error(o), "the capacity must be 1 to 1048576") != NULL);
	CHECK(nsw_options_set_queue(o, 1, 0) == -EINVAL);
	CHECK(strstr(nsw_options_error(o), "the policy must be") != NULL);
	CHECK(nsw_options_set_dir(o, "/") == 0);
	/* success leaves it as it is */
	CHECK(strstr(nsw_options_error(o), "the policy must be") != NULL);
	nsw_options_free(o);
}

/* nsw_open() leaves its message in the options, a call on a watcher in the watcher. */
static void sentences(void)
{
	nsw_options *o = nsw_options_new();
	const nsw_event *event = NULL;
	nsw_watcher *watcher = NULL;

	CHECK(nsw_open(NSW_SOURCE_NAMED, o, NULL) == -EINVAL && strstr(nsw_options_error(o), "NULL") != NULL);
	CHECK(nsw_open(99, o, &watcher) == -EINVAL && strstr(nsw_options_error(o), "source") != NULL);
	CHECK(nsw_options_set_dir(o, "/dev/null") == 0);
	CHECK(nsw_open(NSW_SOURCE_NAMED, o, &watcher) == -ENOTDIR);
	CHECK(strstr(nsw_options_error(o), "/dev/null") != NULL && strstr(nsw_options_error(o), "not a directory") != NULL);

	CHECK(nsw_options_set_dir(o, "/run/netns") == 0);
	CHECK(nsw_open(NSW_SOURCE_NAMED, o, &watcher) == 0);
	CHECK(strstr(nsw_options_error(o), "/dev/null") != NULL);
	nsw_options_free(o);
	CHECK(*nsw_error(watcher) == '\0');
	CHECK(nsw_open_netns(watcher, NULL) == -EINVAL && strstr(nsw_error(watcher), "NULL") != NULL);
	CHECK(nsw_wait_event(watcher, 20000, &event) == 1);
	CHECK(strstr(nsw_error(watcher), "NULL") != NULL);
	CHECK(nsw_open_netns(watcher, event) == -EINVAL);
	CHECK(strstr(nsw_error(watcher), "the event announces none") != NULL);
	nsw_close(watcher);
}

/* Options and flags of another source are refused; the default value is not. */
static void options_of_others(void)
{
	nsw_options *o = nsw_options_new();
	nsw_watcher *watcher = NULL;

	CHECK(nsw_options_set_flags(o, NSW_ALL_NSID) == 0);
	CHECK(nsw_open(NSW_SOURCE_NAMED, o, &watcher) == -EINVAL);
	CHECK(strstr(nsw_options_error(o), "option all_nsid: a watcher of names does not have it") != NULL);
	CHECK(nsw_options_set_flags(o, NSW_NO_PARENT) == 0);
	CHECK(nsw_open(NSW_SOURCE_ALL, o, &watcher) == -EINVAL);
	CHECK(strstr(nsw_options_error(o), "option parent: a watcher of every namespace does not have it") != NULL);
	CHECK(nsw_options_set_flags(o, NSW_NO_REPLAY) == 0);
	CHECK(nsw_options_set_settle(o, 10) == 0);
	CHECK(nsw_open(NSW_SOURCE_NSID, o, &watcher) == -EINVAL);
	CHECK(strstr(nsw_options_error(o), "option settle: a watcher of nsids does not have it") != NULL);
	CHECK(watcher == NULL);
	CHECK(nsw_options_set_settle(o, 0) == 0);
	CHECK(nsw_options_set_dir(o, "/run/netns") == 0);
	CHECK(nsw_open(NSW_SOURCE_NSID, o, &watcher) == 0);
	nsw_close(watcher);
	nsw_options_free(o);
}

static void features(void)
{
	char link[64];
	int next = open("/dev/null", O_RDONLY);

	close(next);
	for (uint32_t which = NSW_FEATURE_MOUNT_EVENTS; which <= NSW_FEATURE_ALL_NSID; which++) {
		int first = nsw_feature(which);

		/* 7 was a feature once: its number is not used again */
		CHECK(which == 7 ? first == -EINVAL : first == 0 || first == 1);
		CHECK(nsw_feature(which) == first);
	}
	CHECK(nsw_feature(0) == -EINVAL);
	CHECK(nsw_feature(NSW_FEATURE_DEATHS + 1) == -EINVAL);
	CHECK(nsw_feature(UINT32_MAX) == -EINVAL);
	/* no descriptor is left behind */
	snprintf(link, sizeof(link), "/proc/self/fd/%d", next);
	CHECK(access(link, F_OK) == -1);
}

/* Every way leads to the same namespace. */
static void identity(void)
{
	struct nsw_netns netns, other = UNTOUCHED;
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int again, alive;
	int32_t nsid = 123, seen = 124;

	CHECK(sizeof(netns) == 32);
	CHECK(fd >= 0);
	CHECK(nsw_netns_for_fd(fd, &netns) == 0);
	CHECK(netns.dev != 0 && netns.ino != 0);
	CHECK(nsw_netns_for_pid(getpid(), &other) == 0 && nsw_netns_same(&netns, &other) == 1);
	CHECK(nsw_netns_for_name("/proc/self/ns/net", &other) == 0 && nsw_netns_same(&netns, &other) == 1);
	CHECK(nsw_netns_for_pidfd(fd, &other) == -EBADF);
	CHECK(nsw_netns_for_name("/dev/null", &other) == -ENODEV);
	CHECK(nsw_netns_for_name("/proc/self/ns/uts", &other) == -EPROTOTYPE);
	CHECK(nsw_netns_for_name("/run/not/there", &other) == -ENOENT);
	CHECK(nsw_netns_same(&netns, &other) == 1); /* a failure stores nothing */
	other.ino++;
	other.cookie = 0;
	CHECK(nsw_netns_same(&netns, &other) == 0);
	CHECK(nsw_netns_open(&other, "/proc/self/ns/net") == -ESTALE);
	CHECK(nsw_netns_open(&other, NULL) == -EOPNOTSUPP);
	CHECK(nsw_netns_is_alive(&other) == -EOPNOTSUPP);

	again = nsw_netns_open(&netns, "/proc/self/ns/net");
	CHECK(again >= 0 && fcntl(again, F_GETFD) == FD_CLOEXEC);
	CHECK(nsw_netns_for_fd(again, &other) == 0 && nsw_netns_same(&netns, &other) == 1);
	close(again);
	CHECK(nsw_netns_open(&netns, "/dev/null") == -ENOENT);
	alive = nsw_netns_is_alive(&netns);
	CHECK(alive == (netns.cookie ? 1 : -EOPNOTSUPP));

	CHECK(nsid_get_for_fd(fd, &nsid) == 0);
	CHECK(nsid_get_as_seen_from(fd, fd, &seen) == 0 && seen == nsid);
	CHECK(nsid_get_as_seen_from(fd, -1, &seen) == -EBADF);
	CHECK(nsw_netns_for_nsid(INT32_MAX, &other) == -ENOENT);
	close(fd);
}

static void identity_by_pidfd(void)
{
	struct nsw_netns netns, other;
	int32_t nsid = 123, seen = 124;
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	/* older versions of valgrind do not know it */
	CHECK(pidfd >= 0 || errno == ENOSYS);
	if (pidfd < 0)
		return;
	CHECK(nsw_netns_for_pid(getpid(), &netns) == 0);
	CHECK(nsw_netns_for_pidfd(pidfd, &other) == 0 && nsw_netns_same(&netns, &other) == 1);
	CHECK(nsw_netns_for_fd(pidfd, &other) == -EINVAL);
	CHECK(nsid_get_for_pid(getpid(), &nsid) == 0);
	CHECK(nsid_get_for_pidfd(pidfd, &seen) == 0 && seen == nsid);
	close(pidfd);
}

static int open_errno(const char *dir, uint32_t flags)
{
	nsw_options *o = nsw_options_new();
	nsw_watcher *watcher = NULL;
	int rc;

	CHECK(nsw_options_set_dir(o, dir) == 0);
	CHECK(nsw_options_set_flags(o, flags) == 0);
	rc = nsw_open(NSW_SOURCE_NAMED, o, &watcher);
	nsw_options_free(o);
	CHECK((rc == 0) == (watcher != NULL));
	nsw_close(watcher);
	return rc;
}

static void refusals(void)
{
	CHECK(open_errno("/dev/null", 0) == -ENOTDIR);
	CHECK(open_errno("/dev/null/below", 0) == -ENOTDIR);
	CHECK(open_errno("/run/not/there/yet", 0) == 0);
	CHECK(open_errno("/run/not/there/yet", NSW_NO_PARENT) == -ENOENT);
	CHECK(open_errno("/run", NSW_NO_PARENT) == 0);
}

/* The next event, which must come in time; NULL otherwise. */
static const nsw_event *next(nsw_watcher *watcher)
{
	const nsw_event *event = NULL;

	return nsw_wait_event(watcher, 20000, &event) == 1 ? event : NULL;
}

static int is(const nsw_event *event, uint32_t type, const char *name)
{
	const char *actual = nsw_event_name(event);

	return nsw_event_type(event) == type && (name ? actual && strcmp(actual, name) == 0 : !actual);
}

static void waiting(void)
{
	struct nsw_netns netns = UNTOUCHED, again;
	int before = open("/dev/null", O_RDONLY), after;

	close(before);
	CHECK(nsw_netns_wait(NULL, 0, &netns) == -EINVAL);
	CHECK(nsw_netns_wait("blue", 0, NULL) == -EINVAL);
	CHECK(nsw_netns_wait("", -1, &netns) == -EINVAL);
	CHECK(nsw_netns_wait("../netns/blue", -1, &netns) == -EINVAL);
	CHECK(nsw_netns_wait("/", -1, &netns) == -EINVAL);
	CHECK(nsw_netns_wait("/dev/null/blue", -1, &netns) == -ENOTDIR);
	CHECK(nsw_netns_wait("blue", 0, &netns) == 0);
	CHECK(nsw_netns_wait("/run/not/there", 1, &netns) == 0);
	CHECK(memcmp(&netns, &UNTOUCHED, sizeof(netns)) == 0);

	CHECK(nsw_netns_wait("/proc/self/ns/net", -1, &netns) == 1);
	CHECK(nsw_netns_for_pid(getpid(), &again) == 0 && nsw_netns_same(&netns, &again) == 1);
	CHECK(system("ip netns add waited &") == 0);
	CHECK(nsw_netns_wait("waited", 20000, &netns) == 1);
	CHECK(nsw_netns_for_name("waited", &again) == 0 && nsw_netns_same(&netns, &again) == 1);
	CHECK(nsw_netns_wait("/run/netns/waited", 0, &netns) == 1);
	CHECK(system("ip netns delete waited") == 0);
	CHECK(nsw_netns_wait("waited", 0, &netns) == 0);
	after = open("/dev/null", O_RDONLY);
	CHECK(after == before);
	close(after);
}

static void life(void)
{
	struct pollfd fd = { .events = POLLIN };
	nsw_watcher *watcher = NULL;
	const nsw_event *event;
	struct nsw_netns identity = UNTOUCHED, named;
	struct stat namespace;
	int netns;

	CHECK(system("ip netns add blue && ip netns set blue 5") == 0);
	CHECK(nsw_open(NSW_SOURCE_NAMED, NULL, &watcher) == 0);
	CHECK(fcntl(nsw_fd(watcher), F_GETFD) == FD_CLOEXEC);
	CHECK(nsw_next_event(watcher, NULL) == -EINVAL);
	CHECK(nsw_wait_event(watcher, -1, NULL) == -EINVAL);

	event = next(watcher);
	CHECK(is(event, NSW_EVENT_CREATED, "blue"));
	CHECK(nsw_event_flags(event) == NSW_EVENT_REPLAYED);
	CHECK(nsw_open_netns(watcher, event) == -EINVAL);
	CHECK(nsw_open_netns(watcher, NULL) == -EINVAL);
	CHECK(nsw_event_netns(event, &identity) == -EINVAL);
	CHECK(memcmp(&identity, &UNTOUCHED, sizeof(identity)) == 0);
	CHECK(strcmp(nsw_event_path(event), "/run/netns/blue") == 0);

	event = next(watcher);
	CHECK(is(event, NSW_EVENT_READY, "blue"));
	CHECK(stat("/run/netns/blue", &namespace) == 0);
	CHECK(nsw_event_dev(event) == namespace.st_dev && nsw_event_ino(event) == namespace.st_ino);
	CHECK(nsw_event_name_len(event) == 4);
	CHECK(nsw_event_time_ns(event) > 0);
	CHECK(nsw_resync(watcher) == 0); /* a borrowed event survives it */
	netns = nsw_open_netns(watcher, event);
	CHECK(netns >= 0 && fstat(netns, &namespace) == 0 && namespace.st_ino == nsw_event_ino(event));
	CHECK(fcntl(netns, F_GETFD) == FD_CLOEXEC);
	close(netns);
	CHECK(nsw_event_pid(event) == 0);
	CHECK(nsw_event_netns(event, NULL) == -EINVAL);
	CHECK(nsw_event_netns(event, &identity) == 0);
	CHECK(identity.dev == nsw_event_dev(event) && identity.ino == nsw_event_ino(event));
	CHECK(identity.cookie == nsw_event_cookie(event));
	CHECK(nsw_netns_for_name("blue", &named) == 0 && nsw_netns_same(&identity, &named) == 1);
	CHECK(nsw_netns_for_nsid(5, &named) == 0 && nsw_netns_same(&identity, &named) == 1);
	netns = nsw_netns_open(&identity, nsw_event_path(event));
	CHECK(netns >= 0);
	close(netns);

	event = next(watcher);
	CHECK(is(event, NSW_EVENT_SYNCED, NULL));
	CHECK(nsw_event_path(event) == NULL);
	CHECK(nsw_event_netns(event, &identity) == -EINVAL);
	CHECK(is(next(watcher), NSW_EVENT_SYNCED, NULL));
	CHECK(nsw_next_event(watcher, &event) == 0);
	CHECK(nsw_wait_event(watcher, 1, &event) == 0);
	fd.fd = nsw_fd(watcher);
	CHECK(poll(&fd, 1, 0) == 0);
	CHECK(nsw_stat(watcher, NSW_STAT_KNOWN) == 1 && nsw_stat(watcher, NSW_STAT_DELIVERED) == 4);
	CHECK(nsw_stat(watcher, 0) == 0 && nsw_stat(watcher, UINT32_MAX) == 0);

	CHECK(system("ip netns del blue") == 0);
	CHECK(poll(&fd, 1, 20000) == 1);
	CHECK(is(next(watcher), NSW_EVENT_DELETED, "blue"));
	nsw_close(watcher);
	CHECK(nsw_netns_open(&identity, "/run/netns/blue") == -ENOENT);
}

/* The next event about that namespace, which must come in time; NULL otherwise. */
static const nsw_event *about(nsw_watcher *watcher, const struct nsw_netns *netns)
{
	const nsw_event *event;
	struct nsw_netns other;

	while ((event = next(watcher)))
		if (nsw_event_netns(event, &other) == 0 && nsw_netns_same(&other, netns) == 1)
			return event;
	return NULL;
}

/*
 * A process that unshares its network namespace when a byte arrives on the socket, answers with a byte, and ends with the
 * socket.
 */
static pid_t child_with_socket(int *end)
{
	int ends[2];
	char byte;
	pid_t child;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	child = fork();
	if (child == 0) {
		close(ends[0]);
		if (read(ends[1], &byte, 1) != 1 || unshare(CLONE_NEWNET) != 0 || write(ends[1], "", 1) != 1)
			_exit(1);
		_exit(read(ends[1], &byte, 1) != 0);
	}
	close(ends[1]);
	*end = ends[0];
	return child;
}

static void life_without_a_name(void)
{
	nsw_options *options;
	nsw_watcher *watcher = NULL;
	const nsw_event *event;
	struct nsw_netns netns = UNTOUCHED, reported;
	struct stat namespace;
	char path[64], byte;
	int end = -1, fd, status = -1;
	/* before anything that it could inherit exists */
	pid_t child = child_with_socket(&end);

	options = nsw_options_new();
	CHECK(nsw_options_set_flags(options, NSW_NO_REPLAY) == 0);
	CHECK(nsw_open(NSW_SOURCE_ALL, options, &watcher) == 0);
	nsw_options_free(options);
	CHECK(fcntl(nsw_fd(watcher), F_GETFD) == FD_CLOEXEC);
	CHECK(write(end, "", 1) == 1 && read(end, &byte, 1) == 1);
	CHECK(nsw_netns_for_pid(child, &netns) == 0);
	if (nsw_feature(NSW_FEATURE_BIRTHS) != 1)
		CHECK(nsw_resync(watcher) == 0);

	event = about(watcher, &netns);
	CHECK(is(event, NSW_EVENT_NETNS_NEW, NULL));
	CHECK(nsw_event_dev(event) == netns.dev && nsw_event_ino(event) == netns.ino);
	CHECK(nsw_event_cookie(event) == netns.cookie);
	CHECK(nsw_event_pid(event) == child);
	CHECK(nsw_event_nsid(event) == NSID_NOT_ASSIGNED && nsw_event_name_len(event) == 0);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", child);
	CHECK(nsw_event_path(event) && strcmp(nsw_event_path(event), path) == 0);
	fd = nsw_open_netns(watcher, event);
	CHECK(fd >= 0 && fstat(fd, &namespace) == 0 && namespace.st_ino == netns.ino);
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	close(fd);
	CHECK(nsw_stat(watcher, NSW_STAT_KNOWN) >= 2 && nsw_stat(watcher, NSW_STAT_PENDING) == 0);

	close(end);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	if (nsw_feature(NSW_FEATURE_DEATHS) != 1)
		CHECK(nsw_resync(watcher) == 0);
	event = about(watcher, &netns);
	CHECK(is(event, NSW_EVENT_NETNS_DEL, NULL));
	CHECK(nsw_event_netns(event, &reported) == 0 && reported.ino == netns.ino && reported.cookie == netns.cookie);
	CHECK(nsw_event_pid(event) == 0 && nsw_event_path(event) == NULL);
	CHECK(nsw_open_netns(watcher, event) == -EINVAL);
	nsw_close(watcher);
}

/* A mistake, to see that a sanitizer finds it. */
static int overflow(void)
{
	volatile size_t size = 8;
	volatile char *bytes = malloc(size);
	int found;

	if (!bytes)
		return 2;
	bytes[0] = 1;
	found = bytes[size];
	free((void *)bytes);
	return found ? 3 : 4;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "overflow") == 0)
		return overflow();
	nulls();
	nulls_of_identity();
	texts();
	options();
	sentences();
	options_of_others();
	features();
	identity();
	identity_by_pidfd();
	refusals();
	waiting();
	life();
	life_without_a_name();
	printf("%d passed, %d failed\n", passed, failed);
	return failed != 0;
}
