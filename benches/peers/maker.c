/*
 * Makes names and namespaces for the contestants to report, in /run/netns, and prints the times:
 *
 *     maker namespaces COUNT PAUSE_US WAIT_MS
 *                                       as `ip netns add` does: the name, then a new namespace mounted on it; waits, then
 *                                       removes all. A line for each: its name, and when mount(2) was called.
 *     maker plain COUNT                 empty files, each removed at once
 *     maker links COUNT                 symbolic links to this namespace, which stay
 *     maker ids COUNT                   new namespaces that get an id here, 500 at a time, and die
 *     maker processes COUNT             processes, each in a new namespace, until standard input ends. A line for each:
 *                                       the inode number of its namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <nswatch.h>

#define NETNS "/run/netns"

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void need(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static const char *path_of(const char *prefix, int i)
{
	static char path[64];

	snprintf(path, sizeof(path), NETNS "/%s%d", prefix, i);
	return path;
}

static void namespaces(int count, long pause_us, long wait_ms)
{
	struct timespec pause = { 0, pause_us * 1000 }, wait = { wait_ms / 1000, wait_ms % 1000 * 1000000 };
	int64_t *mounting = calloc(count, sizeof(*mounting));

	need(mounting != NULL, "calloc");
	for (int i = 0; i < count; i++) {
		const char *path = path_of("ns", i);
		int fd = open(path, O_RDONLY | O_CREAT | O_EXCL, 0);

		need(fd >= 0 && close(fd) == 0, path);
		need(unshare(CLONE_NEWNET) == 0, "unshare");
		mounting[i] = now();
		need(mount("/proc/self/ns/net", path, "none", MS_BIND, NULL) == 0, "mount");
		if (pause_us)
			nanosleep(&pause, NULL);
	}
	for (int i = 0; i < count; i++)
		printf("ns%d %lld\n", i, (long long)mounting[i]);
	fflush(stdout);
	/* time for contestants that poll */
	nanosleep(&wait, NULL);
	for (int i = 0; i < count; i++)
		need(umount2(path_of("ns", i), MNT_DETACH) == 0 && unlink(path_of("ns", i)) == 0, "remove");
}

static void plain(int count)
{
	for (int i = 0; i < count; i++) {
		int fd = open(path_of("plain", i), O_RDONLY | O_CREAT | O_EXCL, 0);

		need(fd >= 0 && close(fd) == 0 && unlink(path_of("plain", i)) == 0, "a plain name");
	}
}

static void ids(int count)
{
	int home = open("/proc/self/ns/net", O_RDONLY), peers[500];
	struct timespec moment = { 0, 100000000 };

	for (int done = 0; done < count; done += 500) {
		for (int i = 0; i < 500; i++) {
			need(unshare(CLONE_NEWNET) == 0, "unshare");
			peers[i] = open("/proc/self/ns/net", O_RDONLY);
			need(peers[i] >= 0, "a peer");
		}
		need(setns(home, CLONE_NEWNET) == 0, "setns");
		for (int i = 0; i < 500; i++) {
			int32_t nsid;

			need(nsid_assign(peers[i], -1, &nsid) == 0, "nsid_assign");
			close(peers[i]);
		}
		/* wait until the kernel has removed them: many dead namespaces at once are not measured here */
		nanosleep(&moment, NULL);
	}
}

static void processes(int count)
{
	int ends[2], born[2];
	unsigned long long ino;
	char end;

	need(pipe(ends) == 0 && pipe(born) == 0, "pipe");
	for (int i = 0; i < count; i++) {
		pid_t child = fork();

		need(child >= 0, "fork");
		if (child == 0) {
			struct stat st;

			close(ends[1]);
			close(born[0]);
			need(unshare(CLONE_NEWNET) == 0 && stat("/proc/self/ns/net", &st) == 0, "unshare");
			ino = st.st_ino;
			need(write(born[1], &ino, sizeof(ino)) == sizeof(ino), "write");
			/* until the parent ends */
			_exit(read(ends[0], &end, 1) != 0);
		}
	}
	for (int i = 0; i < count; i++) {
		need(read(born[0], &ino, sizeof(ino)) == sizeof(ino), "a process");
		printf("%llu\n", ino);
	}
	puts("made");
	fflush(stdout);
	need(read(STDIN_FILENO, &end, 1) == 0, "standard input");
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 0;
	struct rlimit files = { 4096, 4096 };

	need(count > 0, "COUNT");
	need(mkdir(NETNS, 0755) == 0 || errno == EEXIST, NETNS);
	setrlimit(RLIMIT_NOFILE, &files);
	if (strcmp(argv[1], "namespaces") == 0)
		namespaces(count, argc > 3 ? atol(argv[3]) : 0, argc > 4 ? atol(argv[4]) : 0);
	else if (strcmp(argv[1], "plain") == 0)
		plain(count);
	else if (strcmp(argv[1], "links") == 0)
		for (int i = 0; i < count; i++)
			need(symlink("/proc/self/ns/net", path_of("link", i)) == 0, "symlink");
	else if (strcmp(argv[1], "ids") == 0)
		ids(count);
	else if (strcmp(argv[1], "processes") == 0)
		processes(count);
	return 0;
}
