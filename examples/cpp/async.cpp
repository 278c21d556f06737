/*
 * The watcher in an epoll loop, beside other descriptors: async [DIR]
 *
 * The loop also reads standard input: the line "resync" makes the watcher compare its state with the kernel's. The end
 * of the input, or a signal, ends the program.
 */
#include <iostream>
#include <nswatch.hpp>

#include <sys/epoll.h>

#include "signals.hpp"

static void add(const nswatch::fd &epoll, int fd)
{
	epoll_event interest = {};

	interest.events = EPOLLIN;
	interest.data.fd = fd;
	if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &interest) < 0)
		throw std::system_error(errno, std::generic_category(), "epoll");
}

/* Takes all available events. */
static void on_namespaces(nswatch::watcher &watcher)
{
	for (const nswatch::event &event : watcher.pending()) {
		const std::string name = nswatch::printable(event.name.value_or("-"));
		std::error_code gone;

		std::cout << event.type << ' ' << name << std::endl;
		/* if it is gone or replaced already, an event for that follows */
		if (event.type == nswatch::event_type::ready && watcher.open_netns(gone))
			std::cout << "opened " << name << std::endl;
	}
}

/* Returns false at the end of input. */
static bool on_input(nswatch::watcher &watcher)
{
	char line[64];
	const ssize_t length = read(STDIN_FILENO, line, sizeof(line));

	if (length > 0 && std::string_view(line, static_cast<std::size_t>(length)).substr(0, 6) == "resync")
		watcher.resync();
	return length > 0;
}

int main(int argc, char **argv)
try {
	const nswatch::fd ending = signals(), epoll(epoll_create1(EPOLL_CLOEXEC));
	nswatch::watcher watcher(argc > 1 ? nswatch::options().dir(argv[1]) : nswatch::options());
	bool going = true;

	for (const int fd : {watcher.fd(), ending.get(), STDIN_FILENO})
		add(epoll, fd);
	while (going) {
		epoll_event ready = {};

		if (epoll_wait(epoll.get(), &ready, 1, -1) != 1)
			continue;
		if (ready.data.fd == watcher.fd())
			on_namespaces(watcher);
		else
			going = ready.data.fd != ending.get() && on_input(watcher);
	}
	return 0;
} catch (const std::system_error &failure) {
	std::cerr << "async: " << failure.what() << std::endl;
	return 1;
}
