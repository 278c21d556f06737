/*
 * Runs a command inside each network namespace that has a name, and in each new one: enter COMMAND [ARGUMENT...]
 *
 * Try `enter ip -brief link`; it requires CAP_SYS_ADMIN. A child enters, so this process stays in its namespace.
 */
#include <cstring>
#include <iostream>
#include <nswatch.hpp>

#include <poll.h>
#include <sched.h>
#include <sys/wait.h>

#include "signals.hpp"

/* Runs in the child, and does not return. */
[[noreturn]] static void run(const nswatch::fd &netns, char **command)
{
	sigset_t none;

	/* the command would inherit the blocked signals */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, nullptr);
	if (setns(netns.get(), CLONE_NEWNET) == 0)
		execvp(command[0], command);
	std::cerr << "enter: " << command[0] << ": " << std::strerror(errno) << std::endl;
	_exit(127);
}

static void enter(const nswatch::watcher &watcher, const std::string &name, char **command)
{
	int status = 0;

	std::cout << "in " << name << ":" << std::endl;
	/* if one namespace is gone or one command fails, continue with the others */
	try {
		const nswatch::fd netns = watcher.open_netns();
		const pid_t child = fork();

		if (child == 0)
			run(netns, command);
		if (child < 0 || waitpid(child, &status, 0) < 0)
			throw std::system_error(errno, std::generic_category());
		if (status != 0)
			std::cerr << "enter: " << name << ": the command failed" << std::endl;
	} catch (const std::system_error &failure) {
		std::cerr << "enter: " << name << ": " << failure.what() << std::endl;
	}
}

int main(int argc, char **argv)
try {
	if (argc < 2) {
		std::cerr << "usage: enter COMMAND [ARGUMENT...]" << std::endl;
		return 2;
	}
	const nswatch::fd ending = signals();
	nswatch::watcher watcher;
	pollfd fds[] = {{watcher.fd(), POLLIN, 0}, {ending.get(), POLLIN, 0}};

	/* one at a time: check for a signal between two commands */
	while (poll(fds, 2, -1) > 0 && !fds[1].revents)
		if (const auto event = watcher.next(); event && event->type == nswatch::event_type::ready)
			enter(watcher, nswatch::printable(*event->name), argv + 1);
	return 0;
} catch (const nswatch::error &failure) {
	std::cerr << "enter: " << failure.what() << std::endl;
	return 1;
}
