/* Prints the names in a directory and their network namespaces: list [DIR] */
#include <iostream>
#include <map>
#include <nswatch.hpp>

int main(int argc, char **argv)
try {
	/* a name with CREATED and without READY has no namespace */
	std::map<std::string, std::string> names;

	for (const nswatch::event &event : nswatch::list_named(argc > 1 ? argv[1] : "/run/netns"))
		names[event.name.value()] = event.netns ? to_string(*event.netns) : "-";
	for (const auto &[name, netns] : names)
		std::cout << nswatch::printable(name) << ' ' << netns << '\n';
	return 0;
} catch (const nswatch::error &failure) {
	std::cerr << "list: " << failure.what() << std::endl;
	return 1;
}
