/*
 * nswatch.hpp - watch Linux network namespaces from C++17: what nswatch.h offers, as handles and values
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * This is the whole of using it; link with what `pkg-config --cflags --libs nswatch` prints:
 *
 *     #include <iostream>
 *     #include <nswatch.hpp>
 *
 *     int main()
 *     {
 *         nswatch::watcher watcher;
 *
 *         for (const nswatch::event &event : watcher)
 *             std::cout << event << std::endl;
 *     }
 *
 * In a program that has an event loop, poll watcher.fd() for POLLIN and go through watcher.pending().
 *
 * Conventions
 * ===========
 *
 * - nswatch.h has the meaning of each event, option and error, the grammar of events, and what fork(2), threads and
 *   pthread_cancel(3) do. Here is what C++ adds. All of it is inline over the functions of C; nothing else is exported.
 * - Handles (watcher, fd) own what they hold, move, and do not copy. Everything else is a value: an event owns its name
 *   and path and outlives its watcher.
 * - A failure throws nswatch::error. Its what() is the library's sentence: what failed, on what, and why. Its code() has
 *   the errno and compares with std::errc. An overload that takes a std::error_code stores the errno there instead, and
 *   clears it on success. Either may throw std::bad_alloc.
 * - The errors of a function are those of the function of C that its comment names.
 * - A handle that was closed or moved from has no watcher: calls fail with EINVAL, and never crash.
 * - A watcher may move between threads, and one thread at a time calls it: another one gets EBUSY. stats() and fd() may be
 *   called from any thread at any time. Values and free functions may be used from any thread.
 * - A std::string for a name or a path may hold any bytes; one with a NUL in it is EINVAL.
 * - Compiled with -fno-exceptions, what would throw calls std::abort(): use the overloads with std::error_code.
 */

#ifndef NSWATCH_HPP
#define NSWATCH_HPP

#if __cplusplus < 201703L
#error "nswatch.hpp requires C++17"
#endif

#include <nswatch.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iosfwd>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include <sys/types.h>
#include <unistd.h>

namespace nswatch {

/*
 * Errors
 * ======
 */

namespace detail {

class errno_category final : public std::error_category {
public:
	const char *name() const noexcept override { return "nswatch"; }

	std::string message(int number) const override { return ::nsw_strerror(number); }

	std::error_condition default_error_condition(int number) const noexcept override
	{
		return {number, std::generic_category()};
	}
};

} // namespace detail

/// The category of all errors here. The value is the errno; the message is what nsw_strerror() says of it. Since: 0.1
inline const std::error_category &category() noexcept
{
	static const detail::errno_category only;

	return only;
}

/// A failure. what() is a whole sentence, code().value() the errno: `failure.code() == std::errc::permission_denied`.
/// Since: 0.1
class error : public std::system_error {
public:
	error(std::error_code code, const std::string &sentence) : std::system_error(code), sentence_(sentence) {}

	const char *what() const noexcept override { return sentence_.what(); }

private:
	// copied without throwing
	std::runtime_error sentence_;
};

namespace detail {

inline std::error_code code(int rc) noexcept
{
	return rc < 0 ? std::error_code(-rc, category()) : std::error_code();
}

[[noreturn]] inline void raise(int rc, const std::string &sentence)
{
#if defined(__cpp_exceptions)
	throw error(code(rc), sentence);
#else
	static_cast<void>(rc);
	static_cast<void>(sentence);
	std::abort();
#endif
}

/// A result of C, with its failure put where the caller wants it.
inline int store(int rc, std::error_code &ec) noexcept
{
	ec = code(rc);
	return rc;
}

/// Calls what takes a std::error_code, and throws its failure. `doing` makes the beginning of the sentence.
template <class Call, class Doing> auto checked(const Call &call, const Doing &doing)
{
	std::error_code ec;
	auto result = call(ec);

	if (ec)
		raise(-ec.value(), "cannot " + doing() + ": " + ec.message());
	return result;
}

/// The beginning of a sentence, made when it is needed.
inline auto doing(const char *what, std::int64_t number)
{
	return [=] { return what + std::to_string(number); };
}

/// A string for C, where a NULL is EINVAL.
inline const char *c_string(const std::string &text) noexcept
{
	return text.find('\0') == std::string::npos ? text.c_str() : nullptr;
}

/// What C takes for a time: negative is for ever there, and over here.
inline int timeout(std::chrono::milliseconds time) noexcept
{
	return time.count() > INT_MAX ? -1 : time.count() < 0 ? 0 : static_cast<int>(time.count());
}

/// The character that a text begins with, and how many bytes it has; 0: they are not UTF-8.
inline std::size_t character(std::string_view text, char32_t &found) noexcept
{
	constexpr char32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const auto byte = [text](std::size_t at) { return static_cast<unsigned char>(text[at]); };
	const unsigned first = byte(0);
	const std::size_t length =
		first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;

	if (length > text.size())
		return 0;
	found = length < 2 ? first : first & (0x7fU >> length);
	for (std::size_t at = 1; at < length; at++) {
		if ((byte(at) & 0xc0) != 0x80)
			return 0;
		found = found << 6 | (byte(at) & 0x3f);
	}
	return length && (found < least[length] || found > 0x10ffff || found >> 11 == 0x1b) ? 0 : length;
}

/// What a terminal obeys, or what shows nothing: the ranges of src/printable.rs.
inline bool is_hidden(char32_t character) noexcept
{
	constexpr char32_t hidden[][2] = {
		{0x0000, 0x0020},   {0x007f, 0x00a0},   {0x00ad, 0x00ad},   {0x034f, 0x034f},   {0x061c, 0x061c},
		{0x115f, 0x1160},   {0x1680, 0x1680},   {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x2000, 0x200f},
		{0x2028, 0x202f},   {0x205f, 0x206f},   {0x2800, 0x2800},   {0x3000, 0x3000},   {0x3164, 0x3164},
		{0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},   {0x13430, 0x1343f},
		{0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
	};

	for (const auto &range : hidden)
		if (range[0] <= character && character <= range[1])
			return true;
	return false;
}

inline std::string hexadecimal(char32_t number)
{
	std::string digits;

	do
		digits.insert(digits.begin(), "0123456789abcdef"[number % 16]);
	while (number /= 16);
	return digits;
}

} // namespace detail

/// A name or a path in one word and one line, such that a terminal shows it and does not obey it: spaces, quotes,
/// backslashes, control characters, those that show nothing or reverse the text, and bytes that are not UTF-8 become
/// `\x20`, `\u{1b}`, `\xff`, as the nswatch command and the other languages write them. Since: 0.1
inline std::string printable(std::string_view text)
{
	std::string safe;

	while (!text.empty()) {
		char32_t character = 0;
		std::size_t length = detail::character(text, character);

		if (length == 0)
			safe += "\\x" + detail::hexadecimal(static_cast<unsigned char>(text[0]));
		else if (character == ' ')
			safe += "\\x20";
		else if (character == '\t' || character == '\n' || character == '\r')
			safe += character == '\t' ? "\\t" : character == '\n' ? "\\n" : "\\r";
		else if (character == '\\' || character == '\'' || character == '"')
			safe += {'\\', text[0]};
		else if (detail::is_hidden(character))
			safe += "\\u{" + detail::hexadecimal(character) + "}";
		else
			safe += text.substr(0, length);
		text.remove_prefix(length ? length : 1);
	}
	return safe;
}

/*
 * Descriptors and identity
 * ========================
 */

/// A file descriptor that is closed with this object. Since: 0.1
class fd {
public:
	fd() noexcept = default;
	/// Takes over a descriptor; a negative one is none.
	explicit fd(int number) noexcept : number_(number < 0 ? -1 : number) {}
	fd(fd &&other) noexcept : number_(other.release()) {}
	fd &operator=(fd &&other) noexcept
	{
		reset(other.release());
		return *this;
	}
	~fd() { reset(); }

	/// The number, for setns(2) and its like; -1 if there is none. It stays this object's.
	int get() const noexcept { return number_; }
	explicit operator bool() const noexcept { return number_ >= 0; }
	/// Hands the descriptor over to the caller, who closes it.
	int release() noexcept { return std::exchange(number_, -1); }
	/// Closes the descriptor, and takes over another one.
	void reset(int number = -1) noexcept
	{
		const int old = std::exchange(number_, number < 0 ? -1 : number);

		if (old >= 0)
			::close(old);
	}

private:
	int number_ = -1;
};

/// Which network namespace: four numbers to keep, compare and use as a key. See struct nsw_netns of nswatch.h.
///
/// From Linux 6.18 on, == is true for one namespace by whatever way it was identified. Before, the kernel has no
/// number for a namespace that it never reuses: compare with same().
///
/// Each function that identifies has an overload with a std::error_code, which returns zeros where it fails. Since:
/// 0.1
struct netns : ::nsw_netns {
	/// Identifies an open network namespace; nsw_netns_for_fd().
	static netns for_fd(int number, std::error_code &ec) noexcept
	{
		return found(ec, [=](::nsw_netns *to) { return ::nsw_netns_for_fd(number, to); });
	}
	static netns for_fd(int number)
	{
		return detail::checked([=](auto &ec) { return for_fd(number, ec); },
			detail::doing("identify the network namespace of descriptor ", number));
	}

	/// Identifies the network namespace of a process or thread; nsw_netns_for_pid().
	static netns for_pid(::pid_t pid, std::error_code &ec) noexcept
	{
		return found(ec, [=](::nsw_netns *to) { return ::nsw_netns_for_pid(pid, to); });
	}
	static netns for_pid(::pid_t pid)
	{
		return detail::checked([=](auto &ec) { return for_pid(pid, ec); },
			detail::doing("identify the network namespace of process ", pid));
	}

	/// Identifies the network namespace of the process that a pidfd refers to; nsw_netns_for_pidfd().
	static netns for_pidfd(int pidfd, std::error_code &ec) noexcept
	{
		return found(ec, [=](::nsw_netns *to) { return ::nsw_netns_for_pidfd(pidfd, to); });
	}
	static netns for_pidfd(int pidfd)
	{
		return detail::checked([=](auto &ec) { return for_pidfd(pidfd, ec); },
			detail::doing("identify the network namespace of pidfd ", pidfd));
	}

	/// Identifies a named network namespace: a name in /run/netns, or a path if it has a '/' in it. The error
	/// says why the name is not usable; nsw_netns_for_name().
	static netns for_name(const std::string &name, std::error_code &ec) noexcept
	{
		return found(ec, [&](::nsw_netns *to) { return ::nsw_netns_for_name(detail::c_string(name), to); });
	}
	static netns for_name(const std::string &name)
	{
		return detail::checked([&](auto &ec) { return for_name(name, ec); },
			[&] { return "identify the network namespace of " + printable(name); });
	}

	/// Identifies the network namespace that has an nsid here; nsw_netns_for_nsid().
	static netns for_nsid(std::int32_t nsid, std::error_code &ec) noexcept
	{
		return found(ec, [=](::nsw_netns *to) { return ::nsw_netns_for_nsid(nsid, to); });
	}
	static netns for_nsid(std::int32_t nsid)
	{
		return detail::checked([=](auto &ec) { return for_nsid(nsid, ec); },
			detail::doing("identify the network namespace of nsid ", nsid));
	}

	/// Opens exactly this namespace, by a path where it may be found, as that of an event; without one, by its
	/// cookie alone. The descriptor keeps the namespace alive; nsw_netns_open().
	nswatch::fd open(const std::optional<std::string> &path, std::error_code &ec) const noexcept
	{
		const char *where = path ? detail::c_string(*path) : nullptr;

		return nswatch::fd(detail::store(path && !where ? -EINVAL : ::nsw_netns_open(this, where), ec));
	}
	nswatch::fd open(const std::optional<std::string> &path = std::nullopt) const
	{
		return detail::checked([&](auto &ec) { return open(path, ec); },
			[&] { return "open the network namespace " + (path ? printable(*path) : text()); });
	}

	/// Whether it lives. False only where the kernel's answer is certain; nsw_netns_is_alive().
	bool is_alive(std::error_code &ec) const noexcept { return detail::store(::nsw_netns_is_alive(this), ec) == 1; }
	bool is_alive() const
	{
		return detail::checked([&](auto &ec) { return is_alive(ec); },
			[&] { return "look for the network namespace " + text(); });
	}

	/// Whether two are the same namespace: by cookie where both have one; else by dev and ino, and by the stamps
	/// where both have one; nsw_netns_same().
	bool same(const netns &other) const noexcept { return ::nsw_netns_same(this, &other) == 1; }

	friend bool operator==(const netns &a, const netns &b) noexcept { return a.numbers() == b.numbers(); }
	friend bool operator!=(const netns &a, const netns &b) noexcept { return !(a == b); }
	friend bool operator<(const netns &a, const netns &b) noexcept { return a.numbers() < b.numbers(); }

private:
	std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t> numbers() const noexcept
	{
		return {dev, ino, cookie, stamp};
	}

	std::string text() const { return "net:[" + std::to_string(ino) + "]"; }

	friend std::string to_string(const netns &which);

	template <class Ask> static netns found(std::error_code &ec, const Ask &ask) noexcept
	{
		netns answer{};

		detail::store(ask(&answer), ec);
		return answer;
	}
};

static_assert(sizeof(netns) == 32, "the layout is that of C");

/// "net:[4026532177]", as the kernel writes it. Since: 0.1
inline std::string to_string(const netns &which)
{
	return which.text();
}

/*
 * Events
 * ======
 */

/// What happened: NSW_EVENT_*. A later version of the library may have types that are none of these: ignore those.
/// Since: 0.1
enum class event_type : std::uint32_t {
	created = NSW_EVENT_CREATED,
	ready = NSW_EVENT_READY,
	detached = NSW_EVENT_DETACHED,
	deleted = NSW_EVENT_DELETED,
	dir_created = NSW_EVENT_DIR_CREATED,
	dir_deleted = NSW_EVENT_DIR_DELETED,
	nsid_new = NSW_EVENT_NSID_NEW,
	nsid_del = NSW_EVENT_NSID_DEL,
	synced = NSW_EVENT_SYNCED,
	overflow = NSW_EVENT_OVERFLOW,
	netns_new = NSW_EVENT_NETNS_NEW,
	netns_del = NSW_EVENT_NETNS_DEL,
};

/// "created", "ready" and so on; "unknown" for a number that is no type. Static text; nsw_event_type_name(). Since:
/// 0.1
inline const char *to_string(event_type type) noexcept
{
	return ::nsw_event_type_name(static_cast<std::uint32_t>(type));
}

/// An event: a value, which owns all that it has. What does not apply to its type is not there. Since: 0.1
struct event {
	event_type type{};
	/// Existing state, told at open or by a resync.
	bool replayed = false;
	/// When the library learned of it (CLOCK_MONOTONIC).
	std::chrono::steady_clock::time_point time;
	/// Any bytes but '/' and NUL, perhaps not UTF-8: print it by printable().
	std::optional<std::string> name;
	/// Of a name: the watched directory, '/' and the name. Of a netns_new: a path by which the namespace could be
	/// opened.
	std::optional<std::string> path;
	/// Of ready, netns_new, netns_del: which namespace.
	std::optional<nswatch::netns> netns;
	/// Of netns_new: a process or thread that was in the namespace when the watcher found it, if one is known.
	std::optional<::pid_t> pid;
	/// Of nsid_new, nsid_del: the nsid.
	std::optional<std::int32_t> nsid;
	/// Of the same: the nsid of the namespace that it happened in; none: the watched one.
	std::optional<std::int32_t> origin;
	/// Of nsid_new: the netlink port of who asked for the nsid explicitly.
	std::optional<std::uint32_t> portid;
	/// Of overflow: how many events were lost; 0: the kernel did not say, or nsids may be missing.
	std::uint64_t dropped = 0;

	event() = default;

	/// Copies what an event of C has. It may be NULL: a type that is none, and nothing else.
	explicit event(const ::nsw_event *given)
		: type(static_cast<event_type>(::nsw_event_type(given))),
		  replayed((::nsw_event_flags(given) & NSW_EVENT_REPLAYED) != 0),
		  time(std::chrono::nanoseconds(::nsw_event_time_ns(given))), dropped(::nsw_event_dropped(given))
	{
		nswatch::netns which{};

		if (const char *text = ::nsw_event_name(given))
			name.emplace(text, ::nsw_event_name_len(given));
		if (const char *text = ::nsw_event_path(given))
			path.emplace(text);
		if (::nsw_event_netns(given, &which) == 0)
			netns = which;
		if (const std::int32_t number = ::nsw_event_pid(given))
			pid = number;
		if (const std::int32_t number = ::nsw_event_nsid(given); number != NSID_NOT_ASSIGNED)
			nsid = number;
		if (const std::int32_t number = ::nsw_event_origin(given); number != NSID_NOT_ASSIGNED)
			origin = number;
		if (const std::uint32_t number = ::nsw_event_portid(given))
			portid = number;
	}

	/// Opens exactly the namespace that a ready or a netns_new announced: by its path; a netns_new where that
	/// fails, by its cookie. It takes no watcher and works as long as the path leads there. For a directory that
	/// others may write to, prefer watcher::open_netns(), which follows links only as the watcher does. ESTALE,
	/// ENOENT: it is gone or replaced already, and the next event says so. EINVAL: the event is of another type.
	nswatch::fd open_netns(std::error_code &ec) const noexcept
	{
		if (!netns || type == event_type::netns_del) {
			detail::store(-EINVAL, ec);
			return nswatch::fd();
		}
		nswatch::fd opened = netns->open(path, ec);
		if (ec && type == event_type::netns_new && path) {
			std::error_code other;

			opened = netns->open(std::nullopt, other);
			if (!other)
				ec.clear();
		}
		return opened;
	}
	nswatch::fd open_netns() const
	{
		return detail::checked([&](auto &ec) { return open_netns(ec); },
			[&] { return "open the network namespace " + (path ? printable(*path) : to_string(type)); });
	}
};

/// A line for people, as "ready blue net:[4026532177] (existing)", the one that the other languages print. Names and
/// paths are printable(). Since: 0.1
inline std::string to_string(const event &which)
{
	std::string text = to_string(which.type);

	if (which.name)
		text += " " + printable(*which.name);
	if (which.netns)
		text += " " + to_string(*which.netns);
	if (which.type == event_type::netns_new && which.path)
		text += " " + printable(*which.path);
	if (which.nsid)
		text += " " + std::to_string(*which.nsid);
	if (which.origin)
		text += " in " + std::to_string(*which.origin);
	return text += which.replayed ? " (existing)" : "";
}

template <class Traits>
std::basic_ostream<char, Traits> &operator<<(std::basic_ostream<char, Traits> &out, event_type type)
{
	return out << to_string(type);
}

template <class Traits>
std::basic_ostream<char, Traits> &operator<<(std::basic_ostream<char, Traits> &out, const netns &which)
{
	return out << to_string(which).c_str();
}

template <class Traits>
std::basic_ostream<char, Traits> &operator<<(std::basic_ostream<char, Traits> &out, const event &which)
{
	return out << to_string(which).c_str();
}

/*
 * Options
 * =======
 */

/// What to watch: NSW_SOURCE_*. Since: 0.1
enum class source : std::uint32_t {
	/// Names in a directory, as `ip netns` makes them.
	named = NSW_SOURCE_NAMED,
	/// Nsids, which the kernel assigns to peers of the network namespace that the calling thread is in.
	nsid = NSW_SOURCE_NSID,
	/// Every network namespace of this host that can be seen.
	all = NSW_SOURCE_ALL,
};

/// What a full queue does: NSW_QUEUE_*. Since: 0.1
enum class queue_policy : std::uint32_t {
	block = NSW_QUEUE_BLOCK,
	drop_newest = NSW_QUEUE_DROP_NEWEST,
	drop_oldest = NSW_QUEUE_DROP_OLDEST,
};

/// What to do differently: a value. Nothing is checked before a watcher is opened with it. An option that the source
/// does not have is EINVAL then, unless it has its default value.
///
///     nswatch::watcher watcher(nswatch::options().dir("/run/docker/netns").settle(50ms));
///
/// Since: 0.1
class options {
public:
	/// source::named: the directory whose entries are the names, an absolute path; nsw_options_set_dir().
	options &dir(std::string path) { return dir_ = std::move(path), *this; }
	/// Whether to tell what exists first (default: yes); NSW_NO_REPLAY.
	options &replay(bool yes) noexcept { return flag(NSW_NO_REPLAY, !yes); }
	/// source::named: whether to wait for a missing directory (default: yes). If not, its removal ends the watch;
	/// NSW_NO_PARENT.
	options &parent(bool yes) noexcept { return flag(NSW_NO_PARENT, !yes); }
	/// source::named: whether to tell when the directory comes and goes (default: no); NSW_DIR_EVENTS.
	options &dir_events(bool yes) noexcept { return flag(NSW_DIR_EVENTS, yes); }
	/// source::named: whether to report unmounts and re-binds as they happen (default: where that is cheap);
	/// NSW_MOUNT_EVENTS, NSW_NO_MOUNT_EVENTS.
	options &mount_events(bool yes) noexcept { return flag(NSW_MOUNT_EVENTS, yes).flag(NSW_NO_MOUNT_EVENTS, !yes); }
	/// source::named: whether to follow symbolic links (default: yes). No: for a directory that others may write
	/// to; NSW_NO_SYMLINKS.
	options &symlinks(bool yes) noexcept { return flag(NSW_NO_SYMLINKS, !yes); }
	/// source::nsid: whether to tell what happens in peers, too (default: no); NSW_ALL_NSID.
	options &all_nsid(bool yes) noexcept { return flag(NSW_ALL_NSID, yes); }
	/// Whether to make at open all that could be needed later (default: no); NSW_PREPARE.
	options &prepare(bool yes) noexcept { return flag(NSW_PREPARE, yes); }
	/// source::named: for how long a name may change before the outcome is told; nsw_options_set_settle().
	options &settle(std::chrono::milliseconds time) noexcept { return settle_ = time, *this; }
	/// source::named and source::all: how many names, or namespaces, the watcher keeps at most;
	/// nsw_options_set_max_names().
	options &max_names(std::uint32_t names) noexcept { return max_names_ = names, *this; }
	/// source::nsid: the size of the socket's receive buffer; nsw_options_set_rcvbuf().
	options &rcvbuf(std::uint32_t bytes) noexcept { return rcvbuf_ = bytes, *this; }
	/// A reader thread with a queue of 1 to 1048576 events; nsw_options_set_queue().
	options &queue(std::uint32_t capacity, queue_policy policy) noexcept
	{
		return queue_.emplace(capacity, static_cast<std::uint32_t>(policy)), *this;
	}

private:
	friend class watcher;

	struct freeing {
		void operator()(::nsw_options *o) const noexcept { ::nsw_options_free(o); }
	};

	options &flag(std::uint32_t bit, bool yes) noexcept
	{
		flags_ = yes ? flags_ | bit : flags_ & ~bit;
		return *this;
	}

	/// Opens a watcher of C. The sentence of a failure is stored if that is wanted.
	int open(source from, ::nsw_watcher **watcher, std::string *sentence) const
	{
		const std::unique_ptr<::nsw_options, freeing> o(::nsw_options_new());
		int rc = ::nsw_options_set_flags(o.get(), flags_);

		// C would take a path for the part before the NUL, and refuses an empty one with the sentence for both
		if (rc == 0 && dir_)
			rc = ::nsw_options_set_dir(o.get(), detail::c_string(*dir_) ? dir_->c_str() : "");
		if (rc == 0 && (settle_.count() < 0 || settle_.count() > UINT32_MAX)) {
			if (sentence)
				*sentence = "cannot settle for " + std::to_string(settle_.count()) + " ms: " +
					(settle_.count() < 0 ? "the time must not be negative" : "the time must be less than 50 days");
			return -EINVAL;
		}
		if (rc == 0)
			rc = ::nsw_options_set_settle(o.get(), static_cast<std::uint32_t>(settle_.count()));
		if (rc == 0)
			rc = ::nsw_options_set_max_names(o.get(), max_names_);
		if (rc == 0)
			rc = ::nsw_options_set_rcvbuf(o.get(), rcvbuf_);
		if (rc == 0 && queue_)
			rc = ::nsw_options_set_queue(o.get(), queue_->first, queue_->second);
		if (rc == 0)
			rc = ::nsw_open(static_cast<std::uint32_t>(from), o.get(), watcher);
		if (rc < 0 && sentence)
			*sentence = ::nsw_options_error(o.get());
		return rc;
	}

	std::optional<std::string> dir_;
	std::uint32_t flags_ = 0;
	std::chrono::milliseconds settle_{0};
	std::uint32_t max_names_ = 0;
	std::uint32_t rcvbuf_ = 0;
	std::optional<std::pair<std::uint32_t, std::uint32_t>> queue_;
};

/*
 * Watching
 * ========
 */

/// What a watcher has counted since it was opened, and what it holds now: NSW_STAT_*. Since: 0.1
struct stats {
	std::uint64_t delivered, dropped, overflows, resyncs, queued, queued_max, pending, known;
};

/// A watcher. It moves, and closes what it holds with itself. Since: 0.1
///
///     for (const auto &event : watcher)            // waits; ends where the watch does
///     for (const auto &event : watcher.pending())  // takes what is there, after poll(2) of watcher.fd()
class watcher {
public:
	class iterator;
	class pending_events;

	/// Opens one; nsw_open().
	explicit watcher(source from = source::named, const options &how = options())
	{
		std::string sentence;
		const int rc = open(from, how, &sentence);

		if (rc < 0)
			detail::raise(rc, sentence);
	}
	explicit watcher(const options &how) : watcher(source::named, how) {}
	/// Opens one, or stores why not: then it is as one that was closed.
	watcher(source from, const options &how, std::error_code &ec) { detail::store(open(from, how, nullptr), ec); }

	/// Closes it; nsw_close(). Once more does nothing.
	void close() noexcept { handle_.reset(); }

	/// Whether there is a watcher: it was neither closed nor moved from.
	explicit operator bool() const noexcept { return handle_ != nullptr; }

	/// The descriptor to poll for POLLIN, level-triggered. It stays the watcher's; nsw_fd(). -EINVAL where there
	/// is none.
	int fd() const noexcept { return ::nsw_fd(handle_.get()); }

	/// The next event, if there is one now. Never waits; nsw_next_event().
	std::optional<event> next(std::error_code &ec) { return given(detail::store(take(), ec)); }
	std::optional<event> next() { return given(must(take())); }

	/// Waits for the next event; nsw_wait_event(). EINTR: a signal handler ran.
	std::optional<event> wait(std::error_code &ec) { return given(detail::store(take(-1), ec)); }
	event wait()
	{
		must(take(-1));
		return event(borrowed_);
	}
	/// Waits for at most that long. A negative time is none, one of more than 24 days is for ever.
	std::optional<event> wait(std::chrono::milliseconds time, std::error_code &ec)
	{
		return given(detail::store(take(detail::timeout(time)), ec));
	}
	std::optional<event> wait(std::chrono::milliseconds time) { return given(must(take(detail::timeout(time)))); }

	/// Waits for each event, for ever. It ends where the watch does (the directory is gone, with parent(false));
	/// every other failure is thrown, EINTR too, and a new loop goes on where it stopped. An iterator holds its
	/// event, and is of no use once the watcher is moved or closed.
	iterator begin();
	iterator end() noexcept;

	/// What there is now: a range that ends where next() has nothing. The end of the watch is thrown (ENOENT):
	/// the descriptor tells nothing of it any more.
	pending_events pending() noexcept;

	/// Compares what has been told with what the kernel has now: the differences follow, then a synced;
	/// nsw_resync().
	void resync(std::error_code &ec) noexcept { detail::store(::nsw_resync(handle_.get()), ec); }
	void resync() { must(::nsw_resync(handle_.get())); }

	/// Opens the very namespace that the last event announced, the one that this watcher has just given out: a
	/// ready or a netns_new; nsw_open_netns(). ESTALE, ENOENT: it is gone or replaced already, and the next event
	/// says so. EINVAL: the last event is of another type, or there is none.
	nswatch::fd open_netns(std::error_code &ec) const noexcept
	{
		return nswatch::fd(detail::store(::nsw_open_netns(handle_.get(), borrowed_), ec));
	}
	nswatch::fd open_netns() const { return nswatch::fd(must(::nsw_open_netns(handle_.get(), borrowed_))); }

	/// The counters; nsw_stat(). From any thread at any time.
	nswatch::stats stats() const noexcept
	{
		const auto of = [this](std::uint32_t which) { return ::nsw_stat(handle_.get(), which); };

		return {of(NSW_STAT_DELIVERED), of(NSW_STAT_DROPPED), of(NSW_STAT_OVERFLOWS), of(NSW_STAT_RESYNCS),
			of(NSW_STAT_QUEUED), of(NSW_STAT_QUEUED_MAX), of(NSW_STAT_PENDING), of(NSW_STAT_KNOWN)};
	}

	/// The sentence of the last call that failed, for those who take a std::error_code; nsw_error(). "": none
	/// has.
	std::string last_error() const { return ::nsw_error(handle_.get()); }

private:
	struct closing {
		void operator()(::nsw_watcher *watcher) const noexcept { ::nsw_close(watcher); }
	};

	int open(source from, const options &how, std::string *sentence)
	{
		::nsw_watcher *opened = nullptr;
		const int rc = how.open(from, &opened, sentence);

		handle_.reset(opened);
		return rc;
	}

	int take() noexcept
	{
		const ::nsw_event *next = nullptr;
		const int rc = ::nsw_next_event(handle_.get(), &next);

		borrowed_ = next;
		return rc;
	}

	int take(int timeout_ms) noexcept
	{
		const ::nsw_event *next = nullptr;
		const int rc = ::nsw_wait_event(handle_.get(), timeout_ms, &next);

		borrowed_ = next;
		return rc;
	}

	std::optional<event> given(int rc) const
	{
		return rc > 0 ? std::optional<event>(std::in_place, borrowed_) : std::nullopt;
	}

	int must(int rc) const
	{
		if (rc < 0)
			detail::raise(rc, sentence(rc));
		return rc;
	}

	std::string sentence(int rc) const
	{
		if (!handle_)
			return "cannot use a watcher that was closed or moved from";
		// these two leave the sentence of another failure
		const char *known = rc == -EBUSY || rc == -ECHILD ? "" : ::nsw_error(handle_.get());
		return *known ? known : ::nsw_strerror(rc);
	}

	std::unique_ptr<::nsw_watcher, closing> handle_;
	/// The last event, until the next one is asked for.
	const ::nsw_event *borrowed_ = nullptr;
};

/// An input iterator over the events of a watcher. It holds the event that it points to. Since: 0.1
class watcher::iterator {
public:
	using iterator_category = std::input_iterator_tag;
	using value_type = event;
	using difference_type = std::ptrdiff_t;
	using pointer = const event *;
	using reference = const event &;

	/// The end.
	iterator() noexcept = default;

	reference operator*() const noexcept { return *current_; }
	pointer operator->() const noexcept { return &*current_; }
	iterator &operator++()
	{
		const int rc = waits_ ? owner_->take(-1) : owner_->take();

		current_.reset();
		if (!(waits_ && rc == -ENOENT) && owner_->must(rc) > 0)
			current_.emplace(owner_->borrowed_);
		return *this;
	}
	iterator operator++(int)
	{
		iterator before = *this;

		++*this;
		return before;
	}

	/// Whether both are at the end, or neither is.
	friend bool operator==(const iterator &a, const iterator &b) noexcept
	{
		return a.current_.has_value() == b.current_.has_value();
	}
	friend bool operator!=(const iterator &a, const iterator &b) noexcept { return !(a == b); }

private:
	friend class watcher;
	friend class pending_events;

	iterator(watcher &owner, bool waits) : owner_(&owner), waits_(waits) { ++*this; }

	watcher *owner_ = nullptr;
	bool waits_ = false;
	std::optional<event> current_;
};

/// What watcher::pending() returns. Since: 0.1
class watcher::pending_events {
public:
	iterator begin() const { return iterator(*owner_, false); }
	iterator end() const noexcept { return iterator(); }

private:
	friend class watcher;

	explicit pending_events(watcher &owner) noexcept : owner_(&owner) {}

	watcher *owner_;
};

inline watcher::iterator watcher::begin()
{
	return iterator(*this, true);
}

inline watcher::iterator watcher::end() noexcept
{
	return iterator();
}

inline watcher::pending_events watcher::pending() noexcept
{
	return pending_events(*this);
}

/*
 * What there is now, and one name to wait for
 * ===========================================
 */

namespace detail {

inline std::vector<event> until_synced(watcher &&from)
{
	std::vector<event> events;

	for (event each = from.wait(); each.type != event_type::synced; each = from.wait())
		events.push_back(std::move(each));
	return events;
}

inline std::vector<event> until_synced(watcher &&from, std::error_code &ec)
{
	std::vector<event> events;

	while (!ec) {
		std::optional<event> each = from.wait(ec);

		if (each && each->type == event_type::synced)
			return events;
		if (each)
			events.push_back(std::move(*each));
	}
	return {};
}

} // namespace detail

/// The names in a directory now: a created for each, and a ready after that if it can be opened. A directory that is
/// missing has none. Errors: as nsw_open(). Since: 0.1
inline std::vector<event> list_named(const std::string &dir = "/run/netns")
{
	return detail::until_synced(watcher(options().dir(dir)));
}
inline std::vector<event> list_named(const std::string &dir, std::error_code &ec)
{
	return detail::until_synced(watcher(source::named, options().dir(dir), ec), ec);
}

/// Every network namespace of this host that can be seen now: a netns_new for each. Errors: as nsw_open(). Since: 0.1
inline std::vector<event> list_all()
{
	return detail::until_synced(watcher(source::all));
}
inline std::vector<event> list_all(std::error_code &ec)
{
	return detail::until_synced(watcher(source::all, options(), ec), ec);
}

/// Waits until a named network namespace can be opened, by events, and identifies it; none: the time is over. A name
/// in /run/netns, or a path if it has a '/' in it; nsw_netns_wait(). The time is that of watcher::wait(). Since: 0.1
inline std::optional<netns> wait_ready(const std::string &name, std::chrono::milliseconds time, std::error_code &ec) noexcept
{
	netns which{};
	const int rc = detail::store(::nsw_netns_wait(detail::c_string(name), detail::timeout(time), &which), ec);

	return rc == 1 ? std::optional<netns>(which) : std::nullopt;
}
inline std::optional<netns> wait_ready(const std::string &name, std::chrono::milliseconds time)
{
	return detail::checked([&](auto &ec) { return wait_ready(name, time, ec); },
		[&] { return "wait for the network namespace " + printable(name); });
}
/// Waits for ever.
inline netns wait_ready(const std::string &name)
{
	return *wait_ready(name, std::chrono::milliseconds::max());
}

/*
 * Nsids
 * =====
 */

/// Questions about nsids in the network namespace that the calling thread is in. None: no nsid is assigned. Each has
/// an overload with a std::error_code. Since: 0.1
namespace nsid {

namespace detail {

using nswatch::detail::checked;
using nswatch::detail::doing;
using nswatch::detail::store;

template <class Ask> std::optional<std::int32_t> ask(std::error_code &ec, const Ask &question) noexcept
{
	std::int32_t answer = NSID_NOT_ASSIGNED;

	store(question(&answer), ec);
	return !ec && answer != NSID_NOT_ASSIGNED ? std::optional<std::int32_t>(answer) : std::nullopt;
}

} // namespace detail

/// That of the network namespace of a process or thread; nsid_get_for_pid().
inline std::optional<std::int32_t> get_for_pid(::pid_t pid, std::error_code &ec) noexcept
{
	return detail::ask(ec, [=](std::int32_t *to) { return ::nsid_get_for_pid(pid, to); });
}
inline std::optional<std::int32_t> get_for_pid(::pid_t pid)
{
	return detail::checked([=](auto &ec) { return get_for_pid(pid, ec); },
		detail::doing("ask for the nsid of process ", pid));
}

/// That of an open network namespace; nsid_get_for_fd().
inline std::optional<std::int32_t> get_for_fd(int number, std::error_code &ec) noexcept
{
	return detail::ask(ec, [=](std::int32_t *to) { return ::nsid_get_for_fd(number, to); });
}
inline std::optional<std::int32_t> get_for_fd(int number)
{
	return detail::checked([=](auto &ec) { return get_for_fd(number, ec); },
		detail::doing("ask for the nsid of descriptor ", number));
}

/// That of a named network namespace; nsid_get_for_name().
inline std::optional<std::int32_t> get_for_name(const std::string &name, std::error_code &ec) noexcept
{
	return detail::ask(
		ec, [&](std::int32_t *to) { return ::nsid_get_for_name(nswatch::detail::c_string(name), to); });
}
inline std::optional<std::int32_t> get_for_name(const std::string &name)
{
	return detail::checked([&](auto &ec) { return get_for_name(name, ec); },
		[&] { return "ask for the nsid of " + printable(name); });
}

/// That of the network namespace of the process behind a pidfd; nsid_get_for_pidfd().
inline std::optional<std::int32_t> get_for_pidfd(int pidfd, std::error_code &ec) noexcept
{
	return detail::ask(ec, [=](std::int32_t *to) { return ::nsid_get_for_pidfd(pidfd, to); });
}
inline std::optional<std::int32_t> get_for_pidfd(int pidfd)
{
	return detail::checked([=](auto &ec) { return get_for_pidfd(pidfd, ec); },
		detail::doing("ask for the nsid of pidfd ", pidfd));
}

/// That of an open network namespace in another one, `where`; nsid_get_as_seen_from().
inline std::optional<std::int32_t> get_as_seen_from(int where, int number, std::error_code &ec) noexcept
{
	return detail::ask(ec, [=](std::int32_t *to) { return ::nsid_get_as_seen_from(where, number, to); });
}
inline std::optional<std::int32_t> get_as_seen_from(int where, int number)
{
	return detail::checked([=](auto &ec) { return get_as_seen_from(where, number, ec); },
		detail::doing("ask for the nsid of descriptor ", number));
}

/// Gives an open network namespace an nsid here, the lowest free one if none is wanted; nsid_assign(). Returns it; -1
/// where an error is stored.
inline std::int32_t assign(int number, std::optional<std::int32_t> wanted, std::error_code &ec) noexcept
{
	const auto question = [=](std::int32_t *to) { return ::nsid_assign(number, wanted.value_or(-1), to); };

	return detail::ask(ec, question).value_or(NSID_NOT_ASSIGNED);
}
inline std::int32_t assign(int number, std::optional<std::int32_t> wanted = std::nullopt)
{
	return detail::checked([=](auto &ec) { return assign(number, wanted, ec); },
		detail::doing("assign an nsid to descriptor ", number));
}

/// That of a namespace which is `known` in the peer whose nsid here is `from`; nsid_translate().
inline std::optional<std::int32_t> translate(std::int32_t known, std::int32_t from, std::error_code &ec) noexcept
{
	return detail::ask(ec, [=](std::int32_t *to) { return ::nsid_translate(known, from, to); });
}
inline std::optional<std::int32_t> translate(std::int32_t known, std::int32_t from)
{
	return detail::checked([=](auto &ec) { return translate(known, from, ec); }, [=] {
		return "translate the nsid " + std::to_string(known) + " of the peer " + std::to_string(from);
	});
}

/// All that are assigned here, in ascending order; nsid_list().
inline std::vector<std::int32_t> list(std::error_code &ec)
{
	std::vector<std::int32_t> found;
	std::size_t count = 64;

	do {
		found.resize(count);
		if (detail::store(::nsid_list(found.data(), found.size(), &count), ec) < 0)
			return {};
	} while (count > found.size());
	found.resize(count);
	return found;
}
inline std::vector<std::int32_t> list()
{
	return detail::checked(
		[](auto &ec) { return list(ec); }, [] { return std::string("list the nsids"); });
}

} // namespace nsid

/*
 * About the library
 * =================
 */

/// What not every kernel and privilege have: NSW_FEATURE_*. Since: 0.1
enum class feature : std::uint32_t {
	mount_events = NSW_FEATURE_MOUNT_EVENTS,
	mount_poll = NSW_FEATURE_MOUNT_POLL,
	cookie = NSW_FEATURE_COOKIE,
	mount_id = NSW_FEATURE_MOUNT_ID,
	ns_handles = NSW_FEATURE_NS_HANDLES,
	statmount = NSW_FEATURE_STATMOUNT,
	target_nsid = NSW_FEATURE_TARGET_NSID,
	all_nsid = NSW_FEATURE_ALL_NSID,
	listns = NSW_FEATURE_LISTNS,
	births = NSW_FEATURE_BIRTHS,
	deaths = NSW_FEATURE_DEATHS,
};

/// Whether a watcher that the calling thread opened now would have it; nsw_feature(). Since: 0.1
inline bool has(feature which, std::error_code &ec) noexcept
{
	return detail::store(::nsw_feature(static_cast<std::uint32_t>(which)), ec) == 1;
}
inline bool has(feature which)
{
	return detail::checked([=](auto &ec) { return has(which, ec); },
		detail::doing("try the feature ", static_cast<std::uint32_t>(which)));
}

/// The version of the library that is loaded, as "0.1.0"; nsw_version(). NSW_VERSION_* is that of the header. Since:
/// 0.1
inline const char *version() noexcept
{
	return ::nsw_version();
}

} // namespace nswatch

/// For std::unordered_map and its like: equal by ==, equal hashes. Since: 0.1
template <> struct std::hash<nswatch::netns> {
	std::size_t operator()(const nswatch::netns &which) const noexcept
	{
		std::size_t sum = 0;

		for (const std::uint64_t number : {which.dev, which.ino, which.cookie, which.stamp})
			sum = sum * 31 + std::hash<std::uint64_t>()(number);
		return sum;
	}
};

#endif /* NSWATCH_HPP */
