/*
 * Reports the death of the network namespace of a process, also without a name: nsid PID
 *
 * It queries the nsid of the namespace, assigns one if there is none, and waits for NSID_DEL. Try it on
 * `unshare --net sleep 10`; assigning requires CAP_NET_ADMIN.
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
	/* an open descriptor keeps the namespace alive until the watcher exists */
	fd = open_netns(pid);
	rc = nsid_get_for_pid(pid, &nsid);
	if (rc == 0 && nsid != NSID_NOT_ASSIGNED)
		printf("process %" PRId32 " is in the namespace with nsid %" PRId32 "\n", pid, nsid);
	if (rc == 0 && nsid == NSID_NOT_ASSIGNED) {
		printf("process %" PRId32 " is in a namespace without an nsid\n", pid);
		rc = nsid_assign(fd, NSID_NOT_ASSIGNED, &nsid); /* -EBADF if open_netns() failed */
		if (rc == 0)
			printf("assigned nsid %" PRId32 "\n", nsid);
	}
	if (rc == 0)
		rc = nsw_open(NSW_SOURCE_NSID, NULL, &watcher);
	if (fd >= 0)
		close(fd);

	while (rc >= 0 && (rc = nsw_wait_event(watcher, -1, &event)) > 0) {
		if (nsw_event_type(event) == NSW_EVENT_NSID_DEL && nsw_event_nsid(event) == nsid) {
			printf("the namespace with nsid %" PRId32 " is dead\n", nsid);
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
