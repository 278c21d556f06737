/* The driver of the conformance tests in C++: README.md has the protocol. */
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>

#include <fcntl.h>
#include <sys/stat.h>

#include <nswatch.hpp>

namespace {

using namespace std::chrono_literals;

constexpr auto patience = 20s;

std::optional<nswatch::watcher> watcher;
nswatch::event event;
nswatch::netns kept{};

/* The words of a command. */
class Words {
public:
	explicit Words(const std::string &line) : words_(line) {}

	std::string next()
	{
		std::string word;

		words_ >> word;
		return word;
	}

	int number(int none = 0)
	{
		const std::string word = next();

		return word.empty() ? none : std::stoi(word);
	}

private:
	std::istringstream words_;
};

void set_option(nswatch::options &options, const std::string &word)
{
	const std::string name = word.substr(0, word.find('=')), value = word.substr(std::min(name.size() + 1, word.size()));
	const auto number = [&] { return static_cast<std::uint32_t>(std::stoul(value)); };

	if (name == "no-replay")
		options.replay(false);
	else if (name == "no-parent")
		options.parent(false);
	else if (name == "dir-events")
		options.dir_events(true);
	else if (name == "mount-events")
		options.mount_events(true);
	else if (name == "no-mount-events")
		options.mount_events(false);
	else if (name == "no-symlinks")
		options.symlinks(false);
	else if (name == "all-nsid")
		options.all_nsid(true);
	else if (name == "dir")
		options.dir(value);
	else if (name == "settle")
		options.settle(std::chrono::milliseconds(number()));
	else if (name == "max-names")
		options.max_names(number());
	else if (name == "rcvbuf")
		options.rcvbuf(number());
	else {
		static const std::map<std::string, nswatch::queue_policy> policies = {
			{"block", nswatch::queue_policy::block},
			{"drop-newest", nswatch::queue_policy::drop_newest},
			{"drop-oldest", nswatch::queue_policy::drop_oldest},
		};

		options.queue(number(), policies.at(value.substr(value.find(',') + 1)));
	}
}

std::string open_watcher(Words &words)
{
	static const std::map<std::string, nswatch::source> sources = {
		{"named", nswatch::source::named}, {"nsid", nswatch::source::nsid}, {"all", nswatch::source::all}};
	const nswatch::source source = sources.at(words.next());
	nswatch::options options;

	for (std::string word; !(word = words.next()).empty();)
		set_option(options, word);
	watcher.emplace(source, options);
	return "ok";
}

std::string hexadecimal(const std::optional<std::string> &text)
{
	std::string digits;
	char two[3];

	for (const char byte : text.value_or("")) {
		std::snprintf(two, sizeof(two), "%02x", static_cast<unsigned>(static_cast<unsigned char>(byte)));
		digits += two;
	}
	return text ? digits : "-";
}

std::string line()
{
	const nswatch::netns netns = event.netns.value_or(nswatch::netns{});
	std::ostringstream out;

	out << "event " << event.type << ' ' << event.replayed << ' ' << hexadecimal(event.name) << ' ' << netns.dev << ' '
	    << netns.ino << ' ' << netns.cookie << ' ' << event.nsid.value_or(-1) << ' ' << event.origin.value_or(-1) << ' '
	    << event.portid.value_or(0) << ' ' << event.dropped << ' '
	    << std::chrono::nanoseconds(event.time.time_since_epoch()).count() << ' ' << event.pid.value_or(0) << ' '
	    << hexadecimal(event.path);
	return out.str();
}

/* Events until one of this type; until the first one if that is empty. */
std::string until(const std::string &type)
{
	while (auto next = watcher->wait(patience)) {
		event = std::move(*next);
		if (type.empty() || type == to_string(event.type))
			return line();
		std::cout << line() << '\n';
	}
	return "nothing";
}

std::string stat_of(const std::string &name)
{
	const nswatch::stats stats = watcher->stats();
	const std::map<std::string, std::uint64_t> numbers = {
		{"delivered", stats.delivered}, {"dropped", stats.dropped},       {"overflows", stats.overflows},
		{"resyncs", stats.resyncs},     {"queued", stats.queued},         {"queued_max", stats.queued_max},
		{"pending", stats.pending},     {"known", stats.known},
	};

	return "stat " + std::to_string(numbers.at(name));
}

std::string feature(const std::string &name)
{
	using nswatch::feature;
	static const std::map<std::string, feature> features = {
		{"mount_events", feature::mount_events}, {"mount_poll", feature::mount_poll},
		{"cookie", feature::cookie},             {"mount_id", feature::mount_id},
		{"ns_handles", feature::ns_handles},     {"statmount", feature::statmount},
		{"target_nsid", feature::target_nsid},   {"all_nsid", feature::all_nsid},
		{"listns", feature::listns},             {"births", feature::births},
		{"deaths", feature::deaths},
	};

	return nswatch::has(features.at(name)) ? "feature 1" : "feature 0";
}

std::string described(std::uint64_t dev, std::uint64_t ino)
{
	return "netns " + std::to_string(dev) + " " + std::to_string(ino);
}

/* The identity of an open namespace. */
std::string opened(const nswatch::fd &fd)
{
	struct stat status = {};

	fstat(fd.get(), &status);
	return described(status.st_dev, status.st_ino);
}

nswatch::fd open_path(const std::string &path)
{
	nswatch::fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));

	if (!fd)
		throw std::system_error(errno, std::generic_category());
	return fd;
}

/* Finds an identity in the way that the next word names. */
nswatch::netns find(Words &words)
{
	const std::string way = words.next();

	if (way == "event")
		return event.netns.value();
	if (way == "pid")
		return nswatch::netns::for_pid(words.number());
	if (way == "nsid")
		return nswatch::netns::for_nsid(words.number());
	if (way == "ready") {
		const auto found = nswatch::wait_ready(words.next(), patience);

		if (!found)
			throw std::system_error(std::make_error_code(std::errc::timed_out));
		return *found;
	}
	if (way == "fd")
		return nswatch::netns::for_fd(open_path(words.next()).get());
	return nswatch::netns::for_name(words.next());
}

std::string nsid(std::optional<std::int32_t> number)
{
	return "nsid " + std::to_string(number.value_or(NSID_NOT_ASSIGNED));
}

std::string nsid_of(const std::string &command, Words &words)
{
	if (command == "pid")
		return nsid(nswatch::nsid::get_for_pid(words.number()));
	if (command == "name")
		return nsid(nswatch::nsid::get_for_name(words.next()));
	if (command == "translate") {
		const int known = words.number();

		return nsid(nswatch::nsid::translate(known, words.number()));
	}
	const nswatch::fd fd = open_path(words.next());

	if (command == "fd")
		return nsid(nswatch::nsid::get_for_fd(fd.get()));
	return nsid(nswatch::nsid::assign(fd.get(), words.number(NSID_NOT_ASSIGNED)));
}

std::string list()
{
	std::string text = "nsids";

	for (const std::int32_t number : nswatch::nsid::list())
		text += " " + std::to_string(number);
	return text;
}

std::string answer(Words words)
{
	const std::string command = words.next();

	if (command == "open")
		return open_watcher(words);
	if (command == "wait")
		return until("");
	if (command == "until")
		return until(words.next());
	if (command == "resync")
		return watcher->resync(), "ok";
	if (command == "stat")
		return stat_of(words.next());
	if (command == "feature")
		return feature(words.next());
	if (command == "netns")
		return opened(event.open_netns());
	if (command == "identify") {
		kept = find(words);
		return described(kept.dev, kept.ino);
	}
	if (command == "same")
		return kept.same(find(words)) ? "same 1" : "same 0";
	if (command == "reopen")
		return opened(kept.open(words.next()));
	if (command == "list")
		return list();
	if (command == "close")
		return watcher.reset(), "ok";
	return nsid_of(command, words);
}

} // namespace

int main()
{
	for (std::string command; std::getline(std::cin, command);) {
		try {
			std::cout << answer(Words(command)) << std::endl;
		} catch (const std::system_error &failure) {
			std::cout << "error " << failure.code().value() << std::endl;
		}
	}
	return 0;
}
