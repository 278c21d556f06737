/*
 * Reports the death of the network namespace of a process, also without a name: nsid PID
 *
 * It queries the nsid of the namespace, assigns one if there is none, and waits for NSID_DEL. Try it on
 * `unshare --net sleep 10`; assigning requires CAP_NET_ADMIN.
 */
#include <iostream>
#include <nswatch.hpp>

#include <fcntl.h>

static std::int32_t assign(int pid)
{
	const std::string path = "/proc/" + std::to_string(pid) + "/ns/net";
	const nswatch::fd netns(open(path.c_str(), O_RDONLY | O_CLOEXEC));

	std::cout << "process " << pid << " is in a namespace without an nsid" << std::endl;
	return nswatch::nsid::assign(netns.get());
}

int main(int argc, char **argv)
try {
	const int pid = argc > 1 ? std::atoi(argv[1]) : 0;
	/* first: the namespace may die at any time */
	nswatch::watcher watcher(nswatch::source::nsid);
	std::optional<std::int32_t> nsid = nswatch::nsid::get_for_pid(pid);

	if (nsid) {
		std::cout << "process " << pid << " is in the namespace with nsid " << *nsid << std::endl;
	} else {
		nsid = assign(pid);
		std::cout << "assigned nsid " << *nsid << std::endl;
	}
	for (const nswatch::event &event : watcher)
		if (event.type == nswatch::event_type::nsid_del && event.nsid == nsid)
			break;
	std::cout << "the namespace with nsid " << *nsid << " is dead" << std::endl;
	return 0;
} catch (const nswatch::error &failure) {
	std::cerr << "nsid: " << failure.what() << std::endl;
	return 1;
}
