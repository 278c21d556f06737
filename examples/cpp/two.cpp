/*
 * Two watchers in one loop: names, and the nsids of peers, with the name of each peer where it has one: two [DIR]
 *
 * It drains each watcher that is readable. The table of names is the sum of the events of the first.
 */
#include <iostream>
#include <map>
#include <nswatch.hpp>

#include <poll.h>

#include "signals.hpp"

class Names {
public:
	void add(const nswatch::event &event)
	{
		switch (event.type) {
		case nswatch::event_type::ready:
			names_[*event.name] = *event.netns;
			break;
		case nswatch::event_type::detached:
		case nswatch::event_type::deleted:
			names_.erase(*event.name);
			break;
		default:
			break;
		}
	}

	/* Returns the name of the namespace that has an nsid here. */
	std::string of(std::int32_t nsid) const
	{
		std::error_code gone;
		const nswatch::netns netns = nswatch::netns::for_nsid(nsid, gone);

		for (const auto &[name, known] : names_)
			if (!gone && known.same(netns))
				return nswatch::printable(name);
		return "no name";
	}

private:
	std::map<std::string, nswatch::netns> names_;
};

int main(int argc, char **argv)
try {
	const nswatch::fd ending = signals();
	nswatch::watcher named(argc > 1 ? nswatch::options().dir(argv[1]) : nswatch::options());
	nswatch::watcher nsids(nswatch::source::nsid);
	pollfd fds[] = {{named.fd(), POLLIN, 0}, {nsids.fd(), POLLIN, 0}, {ending.get(), POLLIN, 0}};
	Names names;

	while (poll(fds, 3, -1) > 0 && !fds[2].revents) {
		for (const nswatch::event &event : named.pending()) {
			names.add(event);
			std::cout << event << std::endl;
		}
		for (const nswatch::event &event : nsids.pending()) {
			std::cout << event;
			if (event.type == nswatch::event_type::nsid_new)
				std::cout << ": " << names.of(*event.nsid);
			std::cout << std::endl;
		}
	}
	return 0;
} catch (const nswatch::error &failure) {
	std::cerr << "two: " << failure.what() << std::endl;
	return 1;
}
