/*
 * Prints the events of the names in a directory: monitor [DIR]
 *
 * The simplest loop: wait for the watcher or a signal, take all available events, wait again.
 */
#include <inttypes.h>
#include <nswatch.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "printable.h"

static int signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void print(const nsw_event *event)
{
	const char *name = nsw_event_name(event);
	uint32_t type = nsw_event_type(event);

	printf("%s", nsw_event_type_name(type));
	if (name) {
		printf(" ");
		print_name(stdout, name);
	}
	if (type == NSW_EVENT_READY)
		printf(" net:[%" PRIu64 "]", nsw_event_ino(event));
	if (nsw_event_flags(event) & NSW_EVENT_REPLAYED)
		printf(" (replayed)");
	printf("\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	nsw_options *options = nsw_options_new();
	nsw_watcher *watcher = NULL;
	int rc = 0, ending = signals();

	if (argc > 1)
		rc = nsw_options_set_dir(options, argv[1]);
	if (rc == 0)
		rc = nsw_open(NSW_SOURCE_NAMED, options, &watcher);
	nsw_options_free(options);

	while (rc >= 0) {
		struct pollfd fds[] = { { .fd = nsw_fd(watcher), .events = POLLIN }, { .fd = ending, .events = POLLIN } };
		const nsw_event *event;

		poll(fds, 2, -1);
		if (fds[1].revents)
			break;
		while ((rc = nsw_next_event(watcher, &event)) > 0)
			print(event);
	}
	nsw_close(watcher);
	close(ending);
	if (rc < 0) {
		fprintf(stderr, "monitor: %s\n", nsw_strerror(rc));
		return 1;
	}
	return 0;
}
