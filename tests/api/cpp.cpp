/*
 * nswatch.hpp: handles that move, errors with their messages, loops, and events that outlive their watcher.
 * Run in a sandbox, also under valgrind and AddressSanitizer; ends with "N passed, N failed".
 */
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>
#include <type_traits>
#include <unordered_set>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <nswatch.hpp>

using namespace std::chrono_literals;
using nswatch::event_type;

static int passed, failed;

#define CHECK(condition) check(static_cast<bool>(condition), #condition, __LINE__)

static void check(bool good, const char *what, int line)
{
	good ? passed++ : failed++;
	if (!good)
		std::fprintf(stderr, "tests/api/cpp.cpp:%d: %s\n", line, what);
}

/* The message that a call throws; "" if it does not throw. */
template <class Call> static std::string thrown(std::errc expected, const Call &call)
{
	try {
		call();
	} catch (const nswatch::error &failure) {
		CHECK(failure.code() == expected);
		CHECK(failure.code().category() == nswatch::category());
		return failure.what();
	}
	return "";
}

static bool has(const std::string &text, const char *part)
{
	return text.find(part) != std::string::npos;
}

static void run(const std::string &command)
{
	CHECK(std::system(command.c_str()) == 0);
}

static void types()
{
	using nswatch::event;
	using nswatch::fd;
	using nswatch::netns;
	using nswatch::watcher;

	static_assert(!std::is_copy_constructible_v<watcher> && !std::is_copy_assignable_v<watcher>);
	static_assert(std::is_nothrow_move_constructible_v<watcher> && std::is_nothrow_move_assignable_v<watcher>);
	static_assert(!std::is_copy_constructible_v<fd> && std::is_nothrow_move_assignable_v<fd>);
	static_assert(std::is_copy_constructible_v<event> && std::is_nothrow_move_constructible_v<event>);
	static_assert(std::is_copy_constructible_v<nswatch::options>);
	static_assert(std::is_nothrow_copy_constructible_v<nswatch::error>);
	static_assert(std::is_trivially_copyable_v<netns>);
	static_assert(std::is_same_v<std::iterator_traits<watcher::iterator>::value_type, event>);
#if __cplusplus >= 202002L
	static_assert(std::input_iterator<watcher::iterator>);
#endif
	CHECK(std::strcmp(nswatch::version(), nsw_version()) == 0);
	CHECK(nswatch::has(nswatch::feature::cookie) == (nsw_feature(NSW_FEATURE_COOKIE) == 1));
	CHECK(has(thrown(std::errc::invalid_argument, [] { nswatch::has(nswatch::feature(99)); }), "feature 99"));
	CHECK(std::string(nswatch::category().name()) == "nswatch");
}

static void texts()
{
	std::ostringstream out;
	nswatch::event event;

	event.type = event_type::ready;
	event.name = "\033[2J b\xff";
	event.netns = nswatch::netns{{1, 2, 3, 4}};
	event.replayed = true;
	out << event << '|' << *event.netns << '|' << event.type;
	CHECK(out.str() == "ready \\u{1b}[2J\\x20b\\xff net:[2] (replayed)|net:[2]|ready");
	event = nswatch::event();
	event.type = event_type::nsid_new;
	event.nsid = 3;
	event.origin = 7;
	CHECK(to_string(event) == "nsid_new 3 in 7");
	event = nswatch::event();
	event.type = event_type::netns_new;
	event.netns = nswatch::netns{{1, 2, 3, 4}};
	event.path = "/run/a b";
	CHECK(to_string(event) == "netns_new net:[2] /run/a\\x20b");
	CHECK(to_string(nswatch::event(nullptr)) == "unknown");
	CHECK(nswatch::printable("caf\xc3\xa9\t\\'\xe2\x80\xae\xc0\x80") == "caf\xc3\xa9\\t\\\\\\'\\u{202e}\\xc0\\x80");
	CHECK(nswatch::printable(std::string_view("\xe2\x98\x83", 2)) == "\\xe2\\x98");
	CHECK(nswatch::printable(std::string_view("\0", 1)) == "\\u{0}");
}

/* Each mistake has the same message in every language. */
static void refusals()
{
	const auto open = [](nswatch::source from, const nswatch::options &how) {
		return thrown(std::errc::invalid_argument, [&] { nswatch::watcher watcher(from, how); });
	};
	const auto named = nswatch::source::named;
	std::error_code ec;

	CHECK(open(named, nswatch::options().dir("run/netns")) ==
		"cannot watch run/netns: the path must be absolute, without a NUL byte");
	CHECK(has(open(named, nswatch::options().dir(std::string("/run/\0netns", 11))), "without a NUL byte"));
	CHECK(has(open(named, nswatch::options().queue(0, nswatch::queue_policy::block)), "1 to 1048576"));
	CHECK(has(open(named, nswatch::options().queue(1, nswatch::queue_policy(9))), "the policy must be"));
	CHECK(open(named, nswatch::options().settle(-1ms)) == "cannot settle for -1 ms: the time must not be negative");
	CHECK(has(open(named, nswatch::options().settle(24h * 50)), "less than 50 days"));
	CHECK(open(named, nswatch::options().all_nsid(true)) ==
		"cannot use the option all_nsid: a watcher of names does not have it");
	CHECK(has(open(nswatch::source::all, nswatch::options().settle(1ms)), "the option settle"));
	CHECK(has(open(nswatch::source::nsid, nswatch::options().symlinks(false)), "the option symlinks"));
	CHECK(has(open(nswatch::source::nsid, nswatch::options().max_names(1)), "the option max_names"));
	CHECK(has(open(nswatch::source(9), {}), "the source must be"));
	CHECK(has(thrown(std::errc::not_a_directory, [] { nswatch::watcher watcher(nswatch::options().dir("/dev/null")); }),
		"cannot watch /dev/null: not a directory"));

	nswatch::watcher none(named, nswatch::options().dir("/dev/null"), ec);
	CHECK(!none && ec == std::errc::not_a_directory && has(ec.message(), "not a directory"));
	CHECK(none.fd() == -EINVAL);
	nswatch::watcher some(named, nswatch::options().mount_events(false).mount_events(true), ec);
	CHECK(some && !ec && some.last_error().empty());
	CHECK(!some.open_netns(ec) && ec == std::errc::invalid_argument && has(some.last_error(), "NULL"));
}

static void handles()
{
	nswatch::watcher first, second(std::move(first));
	std::error_code ec;

	/* a handle that was moved from refuses, and does not crash */
	CHECK(!first && second);
	CHECK(thrown(std::errc::invalid_argument, [&] { first.next(); }) ==
		"cannot use a watcher that was closed or moved from");
	CHECK(has(thrown(std::errc::invalid_argument, [&] { first.wait(); }), "moved from"));
	CHECK(has(thrown(std::errc::invalid_argument, [&] { first.wait(1ms); }), "moved from"));
	CHECK(has(thrown(std::errc::invalid_argument, [&] { first.resync(); }), "moved from"));
	CHECK(has(thrown(std::errc::invalid_argument, [&] { first.open_netns(); }), "moved from"));
	CHECK(has(thrown(std::errc::invalid_argument, [&] { first.begin(); }), "moved from"));
	CHECK(has(thrown(std::errc::invalid_argument, [&] { first.pending().begin(); }), "moved from"));
	CHECK(!first.next(ec) && ec == std::errc::invalid_argument);
	CHECK(!first.wait(ec) && ec == std::errc::invalid_argument);
	CHECK(first.stats().known == 0 && first.last_error().empty());
	first.close();

	/* an assignment closes the previous one */
	const int old = second.fd();
	CHECK(fcntl(old, F_GETFD) == FD_CLOEXEC);
	first = nswatch::watcher();
	second = std::move(first);
	CHECK(second && fcntl(old, F_GETFD) == -1);
	const int last = second.fd();
	second.close();
	CHECK(!second && fcntl(last, F_GETFD) == -1);
	CHECK(!second.next(ec) && ec == std::errc::invalid_argument);

	nswatch::fd one(open("/dev/null", O_RDONLY | O_CLOEXEC)), other(std::move(one));
	const int number = other.get();
	CHECK(!one && one.get() == -1 && other && number >= 0);
	one = std::move(other);
	CHECK(one.get() == number && !other);
	nswatch::fd third(open("/dev/null", O_RDONLY | O_CLOEXEC));
	const int before = third.get();
	third = nswatch::fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
	CHECK(third.get() != before && third && fcntl(before, F_GETFD) == -1);
	other.reset(one.release());
	CHECK(other.get() == number && fcntl(number, F_GETFD) != -1);
	other.reset();
	CHECK(fcntl(number, F_GETFD) == -1 && !nswatch::fd(-ENOENT));
}

static void life()
{
	run("ip netns add blue");
	nswatch::watcher watcher(nswatch::options().dir_events(true));
	std::vector<nswatch::event> events;

	for (const nswatch::event &event : watcher) {
		events.push_back(event);
		if (event.type == event_type::ready) {
			struct stat status = {};
			const nswatch::fd opened = watcher.open_netns();

			CHECK(fstat(opened.get(), &status) == 0 && status.st_ino == event.netns->ino);
		}
		if (event.type == event_type::synced)
			break;
	}
	CHECK(watcher.stats().known == 1 && watcher.stats().delivered >= 3);
	CHECK(has(thrown(std::errc::invalid_argument, [&] { watcher.open_netns(); }), "the event announces none"));

	/* no event is pending: an empty range */
	for (const auto &event : watcher.pending())
		CHECK(to_string(event) == "nothing");
	CHECK(!watcher.next() && !watcher.wait(0ms) && !watcher.wait(-5s));

	run("ip netns add red-with-a-name-that-is-long && ip netns delete red-with-a-name-that-is-long");
	pollfd ready = {watcher.fd(), POLLIN, 0};
	std::string last;
	while (last != "deleted red-with-a-name-that-is-long" && poll(&ready, 1, 20000) == 1)
		for (const auto &event : watcher.pending())
			last = to_string(event);
	CHECK(last == "deleted red-with-a-name-that-is-long");
	watcher.resync();
	CHECK(watcher.wait().type == event_type::synced);
	watcher.close();

	/* values outlive their watcher */
	const auto is = [](event_type type) { return [=](const nswatch::event &event) { return event.type == type; }; };
	const auto ready_event = std::find_if(events.begin(), events.end(), is(event_type::ready));
	CHECK(ready_event != events.end());
	const nswatch::event kept = *ready_event;
	CHECK(kept.name == "blue" && kept.path == "/run/netns/blue" && kept.replayed);
	CHECK(!kept.nsid && !kept.origin && !kept.pid && !kept.portid && kept.dropped == 0);
	CHECK(kept.time <= std::chrono::steady_clock::now() && kept.time + 60s > std::chrono::steady_clock::now());
	CHECK(kept.open_netns());
	CHECK(has(thrown(std::errc::invalid_argument, [&] { events.back().open_netns(); }), "cannot open"));
	run("ip netns delete blue");
	CHECK(has(thrown(std::errc::no_such_file_or_directory, [&] { kept.open_netns(); }), "/run/netns/blue"));
}

/* The loop ends with the watch; a range of pending events throws. */
static void ends()
{
	run("mkdir -p /run/ending");
	nswatch::watcher watcher(nswatch::options().dir("/run/ending").parent(false).replay(false));
	std::vector<event_type> types;

	run("rmdir /run/ending");
	for (const auto &event : watcher)
		types.push_back(event.type);
	CHECK(types == std::vector<event_type>{event_type::dir_deleted});
	CHECK(watcher.begin() == watcher.end());
	CHECK(has(thrown(std::errc::no_such_file_or_directory, [&] { watcher.pending().begin(); }), "/run/ending"));
}

static void identity()
{
	const nswatch::fd own(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
	const auto netns = nswatch::netns::for_fd(own.get());
	std::error_code ec = std::make_error_code(std::errc::io_error);

	CHECK(nswatch::netns::for_pid(getpid()).same(netns) && nswatch::netns::for_pid(getpid(), ec).same(netns) && !ec);
	CHECK(nswatch::netns::for_name("/proc/self/ns/net").same(netns));
	CHECK(netns.open("/proc/self/ns/net"));
	CHECK(!netns.open("/dev/null", ec) && ec == std::errc::no_such_file_or_directory);
	CHECK(!netns.open(std::string("/proc/self/ns/net\0", 18), ec) && ec == std::errc::invalid_argument);
	CHECK(netns.is_alive(ec) == !ec);
	CHECK(has(thrown(std::errc::no_such_file_or_directory, [] { nswatch::netns::for_name("no such"); }), "no\\x20such"));
	CHECK(has(thrown(std::errc::bad_file_descriptor, [] { nswatch::netns::for_fd(-1); }), "descriptor -1"));
	CHECK(has(thrown(std::errc::bad_file_descriptor, [] { nswatch::netns::for_pidfd(-1); }), "pidfd -1"));
	CHECK(has(thrown(std::errc::no_such_process, [] { nswatch::netns::for_pid(INT32_MAX); }), "process 2147483647"));
	CHECK(has(thrown(std::errc::invalid_argument, [] { nswatch::netns::for_nsid(-1); }), "nsid -1"));
	CHECK(thrown(std::errc::operation_not_supported, [] { nswatch::netns{}.is_alive(); }) != "");

	nswatch::netns other = netns;
	CHECK(other == netns && !(other < netns));
	other.stamp++;
	CHECK(other != netns && netns < other);
	CHECK((std::unordered_set<nswatch::netns>{netns, other, netns}).size() == 2);

	const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
	if (pidfd >= 0) {
		const nswatch::fd closing(pidfd);

		CHECK(nswatch::netns::for_pidfd(pidfd).same(netns));
		CHECK(nswatch::nsid::get_for_pidfd(pidfd) == nswatch::nsid::get_for_fd(own.get()));
	}
}

static void ids()
{
	namespace nsid = nswatch::nsid;

	run("ip netns add peer");
	const nswatch::fd own(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
	const nswatch::fd peer(open("/run/netns/peer", O_RDONLY | O_CLOEXEC));
	nswatch::watcher watcher(nswatch::source::nsid, nswatch::options().replay(false));
	std::error_code ec;

	CHECK(nsid::get_for_name("peer") == std::nullopt);
	CHECK(nsid::assign(peer.get(), 70) == 70);
	CHECK(nsid::get_for_name("/run/netns/peer") == 70 && nsid::get_for_fd(peer.get(), ec) == 70 && !ec);
	CHECK(nsid::get_as_seen_from(own.get(), peer.get()) == 70);
	CHECK(nswatch::netns::for_nsid(70).same(nswatch::netns::for_name("peer")));
	CHECK(nsid::assign(peer.get(), std::nullopt, ec) == -1 && ec == std::errc::file_exists);
	CHECK(has(thrown(std::errc::file_exists, [&] { nsid::assign(peer.get()); }), "cannot assign an nsid"));
	CHECK(has(thrown(std::errc::invalid_argument, [] { nsid::translate(-1, 0); }), "translate the nsid -1 of the peer 0"));
	CHECK(has(thrown(std::errc::no_such_process, [] { nsid::get_for_pid(INT32_MAX); }), "process 2147483647"));
	const auto all = nsid::list();
	CHECK(std::count(all.begin(), all.end(), 70) == 1);

	const auto event = watcher.wait(20s);
	CHECK(event && event->type == event_type::nsid_new && event->nsid == 70 && !event->origin && event->portid);
	run("ip netns delete peer");
}

static void now()
{
	std::error_code ec;

	CHECK(nswatch::list_named("/run/not/there").empty());
	CHECK(has(thrown(std::errc::not_a_directory, [] { nswatch::list_named("/dev/null"); }), "cannot watch /dev/null"));
	CHECK(nswatch::list_named("/dev/null", ec).empty() && ec == std::errc::not_a_directory);
	run("ip netns add green");
	const auto names = nswatch::list_named();
	CHECK(names.size() == 2 && names[0].type == event_type::created && names[1].type == event_type::ready);
	const auto all = nswatch::list_all(ec);
	CHECK(!ec && std::any_of(all.begin(), all.end(), [&](const auto &each) { return each.netns == names[1].netns; }));
	run("ip netns delete green");

	CHECK(!nswatch::wait_ready("late", 0ms) && !nswatch::wait_ready("late", -1s) && !nswatch::wait_ready("late", 1ms));
	CHECK(has(thrown(std::errc::invalid_argument, [] { nswatch::wait_ready("../late"); }), "wait for the network"));
	run("ip netns add late &");
	CHECK(nswatch::wait_ready("late").same(nswatch::netns::for_name("late")));
	CHECK(nswatch::wait_ready("late", 20s, ec) && !ec);
	run("ip netns delete late");
}

/* A mistake, to see that a sanitizer finds it. */
static int overflow()
{
	volatile std::size_t size = 8;
	const std::unique_ptr<volatile char[]> bytes(new volatile char[size]{});

	return bytes[size] ? 3 : 4;
}

int main(int argc, char **argv)
{
	if (argc > 1 && std::strcmp(argv[1], "overflow") == 0)
		return overflow();
	types();
	texts();
	refusals();
	handles();
	life();
	ends();
	identity();
	ids();
	now();
	std::printf("%d passed, %d failed\n", passed, failed);
	return failed != 0;
}
