/*
 * Prints the events of the names in a directory: monitor [DIR]
 *
 * The simplest loop: wait for the watcher or a signal, take all available events, wait again.
 */
#include <iostream>
#include <nswatch.hpp>

#include <poll.h>

#include "signals.hpp"

int main(int argc, char **argv)
try {
	const nswatch::fd ending = signals();
	nswatch::watcher watcher(argc > 1 ? nswatch::options().dir(argv[1]) : nswatch::options());
	pollfd fds[] = {{watcher.fd(), POLLIN, 0}, {ending.get(), POLLIN, 0}};

	while (poll(fds, 2, -1) > 0 && !fds[1].revents)
		for (const nswatch::event &event : watcher.pending())
			std::cout << event << std::endl;
	return 0;
} catch (const nswatch::error &failure) {
	std::cerr << "monitor: " << failure.what() << std::endl;
	return 1;
}
