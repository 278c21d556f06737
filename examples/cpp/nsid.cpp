/*
 * Tells when the network namespace of a process dies, though it has no name: nsid PID
 *
 * It asks for the id that the namespace has here, gives it one if it has none, and waits for the notice of its death.
 * Try it on `unshare --net sleep 10`; to assign takes CAP_NET_ADMIN.
 */
#include <iostream>
#include <nswatch.hpp>

#include <fcntl.h>

static std::int32_t assign(int pid)
{
	const std::string path = "/proc/" + std::to_string(pid) + "/ns/net";
	const nswatch::fd netns(open(path.c_str(), O_RDONLY | O_CLOEXEC));

	std::cout << "process " << pid << " is in a namespace without an id" << std::endl;
	return nswatch::nsid::assign(netns.get());
}

int main(int argc, char **argv)
try {
	const int pid = argc > 1 ? std::atoi(argv[1]) : 0;
	/* before anything else: it may die at any time */
	nswatch::watcher watcher(nswatch::source::nsid);
	std::optional<std::int32_t> nsid = nswatch::nsid::get_for_pid(pid);

	if (nsid) {
		std::cout << "process " << pid << " is in the namespace that is " << *nsid << " here" << std::endl;
	} else {
		nsid = assign(pid);
		std::cout << "now it is " << *nsid << std::endl;
	}
	for (const nswatch::event &event : watcher)
		if (event.type == nswatch::event_type::nsid_del && event.nsid == nsid)
			break;
	std::cout << *nsid << " is gone" << std::endl;
	return 0;
} catch (const nswatch::error &failure) {
	std::cerr << "nsid: " << failure.what() << std::endl;
	return 1;
}
