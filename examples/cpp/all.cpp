/*
 * Prints the births and deaths of all network namespaces, with or without a name, and a process in each: all
 *
 * Try it on `unshare --net sleep 10`. Without root it misses namespaces of other users' processes, and
 * reports new ones later.
 */
#include <fstream>
#include <iostream>
#include <nswatch.hpp>
#include <unordered_map>

#include <poll.h>

#include "signals.hpp"

/* Describes a new namespace: a process in it, or a path to it. */
static std::string known_by(const nswatch::event &event)
{
	if (!event.pid)
		return event.path ? " " + nswatch::printable(*event.path) : "";

	/* the process chooses its command, and may have ended */
	std::ifstream file("/proc/" + std::to_string(*event.pid) + "/comm");
	std::string command = "?";

	std::getline(file, command);
	return " " + std::to_string(*event.pid) + " " + nswatch::printable(command);
}

int main()
try {
	const nswatch::fd ending = signals();
	nswatch::watcher watcher(nswatch::source::all);
	pollfd fds[] = {{watcher.fd(), POLLIN, 0}, {ending.get(), POLLIN, 0}};
	/* the identity is the key: names and pids may pass to others */
	std::unordered_map<nswatch::netns, std::string> who;

	while (poll(fds, 2, -1) > 0 && !fds[1].revents)
		for (const nswatch::event &event : watcher.pending()) {
			if (event.type == nswatch::event_type::netns_new)
				who[*event.netns] = known_by(event);
			std::cout << event.type;
			if (event.netns)
				std::cout << ' ' << *event.netns << who[*event.netns];
			std::cout << (event.replayed ? " (replayed)" : "") << std::endl;
			if (event.type == nswatch::event_type::netns_del)
				who.erase(*event.netns);
		}
	return 0;
} catch (const nswatch::error &failure) {
	std::cerr << "all: " << failure.what() << std::endl;
	return 1;
}
