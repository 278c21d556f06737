/*
 * Tells when the network namespace of a process dies, though it has no name: nsid PID
 *
 * It asks for the id that the namespace has here, gives it one if it has none, and waits for the notice of its death.
 * Try it on `unshare --net sleep 10`; to assign takes CAP_NET_ADMIN.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <nswatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int open_netns(int32_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%" PRId32 "/ns/net", pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

int main(int argc, char **argv)
{
	nsw_watcher *watcher = NULL;
	const nsw_event *event;
	int32_t pid = argc > 1 ? atoi(argv[1]) : 0, nsid;
	int fd, rc;

	setvbuf(stdout, NULL, _IOLBF, 0);
	/* while it is open the namespace lives: it cannot die before there is a watcher to tell */
	fd = open_netns(pid);
	rc = nsid_get_for_pid(pid, &nsid);
	if (rc == 0 && nsid != NSID_NOT_ASSIGNED)
		printf("process %" PRId32 " is in the namespace that is %" PRId32 " here\n", pid, nsid);
	if (rc == 0 && nsid == NSID_NOT_ASSIGNED) {
		printf("process %" PRId32 " is in a namespace without an id\n", pid);
		rc = nsid_assign(fd, NSID_NOT_ASSIGNED, &nsid); /* if it could not be opened: -EBADF */
		if (rc == 0)
			printf("now it is %" PRId32 "\n", nsid);
	}
	if (rc == 0)
		rc = nsw_open(NSW_SOURCE_NSID, NULL, &watcher);
	if (fd >= 0)
		close(fd);

	while (rc >= 0 && (rc = nsw_wait_event(watcher, -1, &event)) > 0) {
		if (nsw_event_type(event) == NSW_EVENT_NSID_DEL && nsw_event_nsid(event) == nsid) {
			printf("%" PRId32 " is gone\n", nsid);
			break;
		}
	}
	nsw_close(watcher);
	if (rc < 0) {
		fprintf(stderr, "nsid: %s\n", nsw_strerror(rc));
		return 1;
	}
	return 0;
}
