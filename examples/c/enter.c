/*
 * Runs a command inside each network namespace that has a name, and in each new one: enter COMMAND [ARGUMENT...]
 *
 * Try `enter ip -brief link`; it requires CAP_SYS_ADMIN. A child enters, so this process stays in its namespace.
 */
#include <errno.h>
#include <nswatch.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "printable.h"

/* Runs in the child, and does not return. */
static void run(int netns, char **command)
{
	sigset_t none;

	/* the command would inherit the blocked signals */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (setns(netns, CLONE_NEWNET) == 0)
		execvp(command[0], command);
	fprintf(stderr, "enter: %s: %s\n", command[0], strerror(errno));
	_exit(127);
}

static void complain(const char *name, const char *what)
{
	fprintf(stderr, "enter: ");
	print_name(stderr, name);
	fprintf(stderr, ": %s\n", what);
}

/* If one namespace is gone or one command fails, continue with the others. */
static void enter(nsw_watcher *watcher, const nsw_event *ready, char **command)
{
	const char *name = nsw_event_name(ready);
	int status, netns = nsw_open_netns(watcher, ready);
	pid_t child;

	printf("in ");
	print_name(stdout, name);
	printf(":\n");
	fflush(stdout);
	if (netns < 0) {
		complain(name, nsw_strerror(netns));
		return;
	}
	child = fork();
	if (child == 0)
		run(netns, command);
	close(netns);
	if (child < 0 || waitpid(child, &status, 0) < 0)
		complain(name, strerror(errno));
	else if (status != 0)
		complain(name, "the command failed");
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

int main(int argc, char **argv)
{
	nsw_watcher *watcher = NULL;
	int rc, ending;

	if (argc < 2) {
		fprintf(stderr, "usage: enter COMMAND [ARGUMENT...]\n");
		return 2;
	}
	ending = signals();
	rc = nsw_open(NSW_SOURCE_NAMED, NULL, &watcher);
	while (rc >= 0) {
		struct pollfd fds[] = { { .fd = nsw_fd(watcher), .events = POLLIN }, { .fd = ending, .events = POLLIN } };
		const nsw_event *event;

		poll(fds, 2, -1);
		if (fds[1].revents)
			break;
		/* one at a time: check for a signal between two commands */
		rc = nsw_next_event(watcher, &event);
		if (rc > 0 && nsw_event_type(event) == NSW_EVENT_READY)
			enter(watcher, event, argv + 1);
	}
	nsw_close(watcher);
	close(ending);
	if (rc < 0) {
		fprintf(stderr, "enter: %s\n", nsw_strerror(rc));
		return 1;
	}
	return 0;
}
