/*
 * The watcher in an epoll loop, beside other descriptors: async [DIR]
 *
 * The loop also reads standard input: the line "resync" makes the watcher compare its state with the kernel's. The end
 * of the input, or a signal, ends the program.
 */
#include <nswatch.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "printable.h"

static int add(int epoll, int fd)
{
	struct epoll_event interest = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest);
}

static int signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void say(const char *what, const char *name)
{
	printf("%s ", what);
	print_name(stdout, name);
	printf("\n");
}

/* Takes all available events. */
static int on_namespaces(nsw_watcher *watcher)
{
	const nsw_event *event;
	int rc;

	while ((rc = nsw_next_event(watcher, &event)) > 0) {
		const char *name = nsw_event_name(event);

		say(nsw_event_type_name(nsw_event_type(event)), name ? name : "-");
		if (nsw_event_type(event) == NSW_EVENT_READY) {
			int netns = nsw_open_netns(watcher, event);

			/* -ENOENT or -ESTALE: gone or replaced already; an event for that follows */
			if (netns >= 0) {
				say("opened", name);
				close(netns);
			}
		}
		fflush(stdout);
	}
	return rc;
}

/* Returns 1: continue; 0: end of input; negative: an error of the watcher. */
static int on_input(nsw_watcher *watcher)
{
	char line[64];
	ssize_t length = read(STDIN_FILENO, line, sizeof(line));

	if (length > 0 && strncmp(line, "resync", 6) == 0) {
		int rc = nsw_resync(watcher);

		if (rc < 0)
			return rc;
	}
	return length > 0;
}

int main(int argc, char **argv)
{
	nsw_options *options = nsw_options_new();
	nsw_watcher *watcher = NULL;
	int rc = 0, going = 1, epoll = epoll_create1(EPOLL_CLOEXEC), ending = signals();

	if (argc > 1)
		rc = nsw_options_set_dir(options, argv[1]);
	if (rc == 0)
		rc = nsw_open(NSW_SOURCE_NAMED, options, &watcher);
	nsw_options_free(options);
	if (rc == 0 && (add(epoll, nsw_fd(watcher)) < 0 || add(epoll, STDIN_FILENO) < 0 || add(epoll, ending) < 0)) {
		perror("async: epoll");
		going = 0;
	}

	while (rc >= 0 && going) {
		struct epoll_event ready[3];
		int n = epoll_wait(epoll, ready, 3, -1);

		for (int i = 0; i < n && rc >= 0; i++) {
			if (ready[i].data.fd == nsw_fd(watcher))
				rc = on_namespaces(watcher);
			else if (ready[i].data.fd == ending)
				going = 0;
			else if (going)
				rc = going = on_input(watcher);
		}
	}
	nsw_close(watcher);
	close(ending);
	close(epoll);
	if (rc < 0) {
		fprintf(stderr, "async: %s\n", nsw_strerror(rc));
		return 1;
	}
	return 0;
}
