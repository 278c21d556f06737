/*
 * nswatch.hpp - watch Linux network namespaces from C++17: the API of nswatch.h as handles and values
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A whole program; link with `pkg-config --cflags --libs nswatch`:
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
 * In a program that has an event loop, poll watcher.fd() for POLLIN and iterate over watcher.pending().
 *
 * Conventions
 * ===========
 *
 * - nswatch.h documents each event, option and error, the grammar of events, fork(2), threads and pthread_cancel(3).
 *   This file documents what C++ adds. Everything here is inline and calls the C functions; the library exports
 *   nothing else.
 * - Handles (watcher, fd) own their resource; they move and do not copy. All other types are values: an event owns its
 *   name and path and outlives its watcher.
 * - A function that fails throws nswatch::error. what() is the library's sentence: what failed, on what, and why.
 *   code() has the errno and compares with std::errc. An overload with a std::error_code stores the errno there
 *   instead, and clears it on success. Both kinds may throw std::bad_alloc.
 * - The comment of a function names a C function: the errors are the same.
 * - A closed or moved-from handle has no watcher: calls fail with EINVAL and never crash.
 * - A watcher may move between threads. One thread at a time may call it: a second one gets EBUSY. Any thread may call
 *   stats() and fd() at any time, and may use values and free functions.
 * - A std::string for a name or a path may hold any bytes. With a NUL byte in it, the call fails with EINVAL.
 * - Compiled with -fno-exceptions, a function that would throw calls std::abort(). Use the overloads with
 *   std::error_code.
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

/// The category of all errors here. The value is the errno, the message is that of nsw_strerror(). Since: 0.1
inline const std::error_category &category() noexcept
{
	static const detail::errno_category only;

	return only;
}

/// A failure. what() is a sentence, code().value() is the errno: `failure.code() == std::errc::permission_denied`.
/// Since: 0.1
class error : public std::system_error {
public:
	error(std::error_code code, const std::string &sentence) : std::system_error(code), sentence_(sentence) {}

	const char *what() const noexcept override { return sentence_.what(); }

private:
	// copies without throwing
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

/// Stores the error of a C result.
inline int store(int rc, std::error_code &ec) noexcept
{
	ec = code(rc);
	return rc;
}

/// Calls a function that takes a std::error_code, and throws its error. `doing` makes the beginning of the sentence.
template <class Call, class Doing> auto checked(const Call &call, const Doing &doing)
{
	std::error_code ec;
	auto result = call(ec);

	if (ec)
		raise(-ec.value(), "cannot " + doing() + ": " + ec.message());
	return result;
}

/// Returns a function that makes the beginning of a sentence.
inline auto doing(const char *what, std::int64_t number)
{
	return [=] { return what + std::to_string(number); };
}

/// A C string; NULL, which is EINVAL, for a text with a NUL byte.
inline const char *c_string(const std::string &text) noexcept
{
	return text.find('\0') == std::string::npos ? text.c_str() : nullptr;
}

/// A time as C takes it. There, a negative one waits without limit; here, it does not wait.
inline int timeout(std::chrono::milliseconds time) noexcept
{
	return time.count() > INT_MAX ? -1 : time.count() < 0 ? 0 : static_cast<int>(time.count());
}

/// Finds the first character of a text. Returns its length in bytes; 0: not UTF-8.
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

/// Whether a terminal obeys the character or shows nothing: the ranges of src/printable.rs.
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

/// Makes a name or a path safe to print: one word on one line, without characters that a terminal obeys. Spaces,
/// quotes, backslashes, control characters, characters that show nothing or reverse the text, and bytes that are not
/// UTF-8 become `\x20`, `\u{1b}`, `\xff`, as in the nswatch command and the other languages. Since: 0.1
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

/// A file descriptor that closes with this object. Since: 0.1
class fd {
public:
	fd() noexcept = default;
	/// Takes over a descriptor; a negative number means none.
	explicit fd(int number) noexcept : number_(number < 0 ? -1 : number) {}
	fd(fd &&other) noexcept : number_(other.release()) {}
	fd &operator=(fd &&other) noexcept
	{
		reset(other.release());
		return *this;
	}
	~fd() { reset(); }

	/// The number, for setns(2) and similar calls; -1 if there is none. This object keeps it.
	int get() const noexcept { return number_; }
	explicit operator bool() const noexcept { return number_ >= 0; }
	/// Gives the descriptor to the caller, who closes it.
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

/// Identifies a network namespace: four numbers to keep, compare and use as a key. See struct nsw_netns in nswatch.h.
///
/// From Linux 6.18 on, == compares namespaces, however you obtained the values. Before, the kernel has no number that
/// it never reuses: compare with same().
///
/// Each function that identifies a namespace has an overload with a std::error_code, which returns zeros if it fails.
/// Since: 0.1
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

	/// Identifies a named network namespace: a name in /run/netns; with a '/' in it, a path. The error says why the
	/// name is not usable; nsw_netns_for_name().
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

	/// Opens exactly this namespace: by a path, as that of an event; without one, by its cookie alone. The
	/// descriptor keeps the namespace alive; nsw_netns_open().
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

	/// Whether the namespace is alive. False only if the kernel's answer is certain; nsw_netns_is_alive().
	bool is_alive(std::error_code &ec) const noexcept { return detail::store(::nsw_netns_is_alive(this), ec) == 1; }
	bool is_alive() const
	{
		return detail::checked([&](auto &ec) { return is_alive(ec); },
			[&] { return "look for the network namespace " + text(); });
	}

	/// Whether both are the same namespace: by cookie if both have one; else by dev and ino, and by stamp if both
	/// have one; nsw_netns_same().
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

/// NSW_EVENT_*. Later versions of the library may add types: ignore those that you do not know. Since: 0.1
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

/// The name of a type, as "created"; "unknown" for an unknown number. Static text; nsw_event_type_name(). Since: 0.1
inline const char *to_string(event_type type) noexcept
{
	return ::nsw_event_type_name(static_cast<std::uint32_t>(type));
}

/// An event: a value that owns all its parts. A part that the type does not have is empty. Since: 0.1
struct event {
	event_type type{};
	/// A replayed event: a replay at open or a resync found this.
	bool replayed = false;
	/// When the library noticed the change (CLOCK_MONOTONIC).
	std::chrono::steady_clock::time_point time;
	/// Any bytes except '/' and NUL, possibly not UTF-8: print it with printable().
	std::optional<std::string> name;
	/// Of a name: the watched directory, '/' and the name. Of netns_new: a path that led to the namespace when the
	/// watcher found it.
	std::optional<std::string> path;
	/// Of ready, netns_new, netns_del: the namespace.
	std::optional<nswatch::netns> netns;
	/// Of netns_new: a process or thread that was in the namespace when the watcher found it, if one is known.
	std::optional<::pid_t> pid;
	/// Of nsid_new, nsid_del: the nsid.
	std::optional<std::int32_t> nsid;
	/// Of nsid_new, nsid_del: the nsid of the namespace in which the event happened; none: the watched one.
	std::optional<std::int32_t> origin;
	/// Of nsid_new: the netlink port of the requester, after an explicit request for the nsid.
	std::optional<std::uint32_t> portid;
	/// Of overflow: how many events were lost; 0: the kernel did not count them, or nsids may be missing.
	std::uint64_t dropped = 0;

	event() = default;

	/// Copies a C event. NULL gives an event without a valid type and without parts.
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

	/// Opens exactly the namespace of a ready or netns_new, by its path; if that fails for a netns_new, by its
	/// cookie. It needs no watcher, and works as long as the path leads to the namespace. For a directory that
	/// others may write to, use watcher::open_netns(), which follows only the links that the watcher follows.
	/// ESTALE, ENOENT: the namespace is gone or replaced; an event follows. EINVAL: the event is of another type.
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

/// The event as one line of text, as "ready blue net:[4026532177] (replayed)", the same in all languages. Names and
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
	return text += which.replayed ? " (replayed)" : "";
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

/// NSW_SOURCE_*. Since: 0.1
enum class source : std::uint32_t {
	/// Names in a directory, as `ip netns` makes them.
	named = NSW_SOURCE_NAMED,
	/// Nsids that the kernel assigns to peers of the network namespace of the calling thread.
	nsid = NSW_SOURCE_NSID,
	/// Every network namespace of this host that the caller can see.
	all = NSW_SOURCE_ALL,
};

/// The policy of a full queue, NSW_QUEUE_*. Since: 0.1
enum class queue_policy : std::uint32_t {
	block = NSW_QUEUE_BLOCK,
	drop_newest = NSW_QUEUE_DROP_NEWEST,
	drop_oldest = NSW_QUEUE_DROP_OLDEST,
};

/// Options for a watcher: a value. The constructor of the watcher checks them. It fails with EINVAL for an option that
/// the source does not have, unless the option has its default value.
///
///     nswatch::watcher watcher(nswatch::options().dir("/run/docker/netns").settle(50ms));
///
/// Since: 0.1
class options {
public:
	/// source::named: the directory whose entries are the names, an absolute path; nsw_options_set_dir().
	options &dir(std::string path) { return dir_ = std::move(path), *this; }
	/// Whether to emit what exists first, as replayed events (default: yes); NSW_NO_REPLAY.
	options &replay(bool yes) noexcept { return flag(NSW_NO_REPLAY, !yes); }
	/// source::named: whether to wait for a missing directory (default: yes). If no, its removal ends the watch;
	/// NSW_NO_PARENT.
	options &parent(bool yes) noexcept { return flag(NSW_NO_PARENT, !yes); }
	/// source::named: whether to report when the directory appears and disappears (default: no); NSW_DIR_EVENTS.
	options &dir_events(bool yes) noexcept { return flag(NSW_DIR_EVENTS, yes); }
	/// source::named: whether to report unmounts and re-binds as they happen (default: where that is cheap);
	/// NSW_MOUNT_EVENTS, NSW_NO_MOUNT_EVENTS.
	options &mount_events(bool yes) noexcept { return flag(NSW_MOUNT_EVENTS, yes).flag(NSW_NO_MOUNT_EVENTS, !yes); }
	/// source::named: whether to follow symbolic links (default: yes). Set no for a directory that others may
	/// write to; NSW_NO_SYMLINKS.
	options &symlinks(bool yes) noexcept { return flag(NSW_NO_SYMLINKS, !yes); }
	/// source::nsid: whether to report events in peers, too (default: no); NSW_ALL_NSID.
	options &all_nsid(bool yes) noexcept { return flag(NSW_ALL_NSID, yes); }
	/// Whether to make at open all that the watcher could need later (default: no); NSW_PREPARE.
	options &prepare(bool yes) noexcept { return flag(NSW_PREPARE, yes); }
	/// source::named: debounces names; nsw_options_set_settle().
	options &settle(std::chrono::milliseconds time) noexcept { return settle_ = time, *this; }
	/// source::named, source::all: the maximum number of names, or namespaces; nsw_options_set_max_names().
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

	/// Opens a C watcher. Stores the sentence of a failure in `sentence`, if that is not NULL.
	int open(source from, ::nsw_watcher **watcher, std::string *sentence) const
	{
		const std::unique_ptr<::nsw_options, freeing> o(::nsw_options_new());
		int rc = ::nsw_options_set_flags(o.get(), flags_);

		// C would cut a path at a NUL; an empty path gets the error that a path with a NUL deserves
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

/// The counters of a watcher, NSW_STAT_*. Since: 0.1
struct stats {
	std::uint64_t delivered, dropped, overflows, resyncs, queued, queued_max, pending, known;
};

/// A watcher. It moves, and closes with this object. Since: 0.1
///
///     for (const auto &event : watcher)            // waits for each event, until the watch ends
///     for (const auto &event : watcher.pending())  // takes the events that are ready, after poll(2) of watcher.fd()
class watcher {
public:
	class iterator;
	class pending_events;

	/// Opens a watcher; nsw_open().
	explicit watcher(source from = source::named, const options &how = options())
	{
		std::string sentence;
		const int rc = open(from, how, &sentence);

		if (rc < 0)
			detail::raise(rc, sentence);
	}
	explicit watcher(const options &how) : watcher(source::named, how) {}
	/// Opens a watcher, or stores the error and is a closed one.
	watcher(source from, const options &how, std::error_code &ec) { detail::store(open(from, how, nullptr), ec); }

	/// Closes the watcher; nsw_close(). A second call does nothing.
	void close() noexcept { handle_.reset(); }

	/// Whether the watcher is open: neither closed nor moved from.
	explicit operator bool() const noexcept { return handle_ != nullptr; }

	/// The descriptor to poll for POLLIN, level-triggered. The watcher owns it; nsw_fd(). -EINVAL if the watcher is
	/// closed.
	int fd() const noexcept { return ::nsw_fd(handle_.get()); }

	/// Takes the next event, if there is one now. Never waits; nsw_next_event().
	std::optional<event> next(std::error_code &ec) { return given(detail::store(take(), ec)); }
	std::optional<event> next() { return given(must(take())); }

	/// Waits for the next event; nsw_wait_event(). EINTR: a signal handler ran.
	std::optional<event> wait(std::error_code &ec) { return given(detail::store(take(-1), ec)); }
	event wait()
	{
		must(take(-1));
		return event(borrowed_);
	}
	/// Waits for at most that time. A negative time does not wait, one of more than 24 days waits without limit.
	std::optional<event> wait(std::chrono::milliseconds time, std::error_code &ec)
	{
		return given(detail::store(take(detail::timeout(time)), ec));
	}
	std::optional<event> wait(std::chrono::milliseconds time) { return given(must(take(detail::timeout(time)))); }

	/// Waits for each event, without limit. The loop ends when the watch ends (the directory is gone, with
	/// parent(false)). Every other failure throws, EINTR too; a new loop continues where the last one stopped. An
	/// iterator holds its event. Do not use it after you have moved or closed the watcher.
	iterator begin();
	iterator end() noexcept;

	/// The events that are ready: a range that ends when next() has no event. The end of the watch throws (ENOENT),
	/// because the descriptor does not show it.
	pending_events pending() noexcept;

	/// Compares the events so far with the kernel's state: the differences follow as replayed events, then synced;
	/// nsw_resync().
	void resync(std::error_code &ec) noexcept { detail::store(::nsw_resync(handle_.get()), ec); }
	void resync() { must(::nsw_resync(handle_.get())); }

	/// Opens exactly the namespace of the last event that this watcher returned, a ready or netns_new;
	/// nsw_open_netns(). ESTALE, ENOENT: the namespace is gone or replaced; an event follows. EINVAL: the last
	/// event is of another type, or there is none.
	nswatch::fd open_netns(std::error_code &ec) const noexcept
	{
		return nswatch::fd(detail::store(::nsw_open_netns(handle_.get(), borrowed_), ec));
	}
	nswatch::fd open_netns() const { return nswatch::fd(must(::nsw_open_netns(handle_.get(), borrowed_))); }

	/// The counters; nsw_stat(). Any thread may call this at any time.
	nswatch::stats stats() const noexcept
	{
		const auto of = [this](std::uint32_t which) { return ::nsw_stat(handle_.get(), which); };

		return {of(NSW_STAT_DELIVERED), of(NSW_STAT_DROPPED), of(NSW_STAT_OVERFLOWS), of(NSW_STAT_RESYNCS),
			of(NSW_STAT_QUEUED), of(NSW_STAT_QUEUED_MAX), of(NSW_STAT_PENDING), of(NSW_STAT_KNOWN)};
	}

	/// The sentence of the last call that failed, for the overloads with a std::error_code; nsw_error(). "" if no
	/// call has failed.
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
		// these two keep the sentence of an earlier failure
		const char *known = rc == -EBUSY || rc == -ECHILD ? "" : ::nsw_error(handle_.get());
		return *known ? known : ::nsw_strerror(rc);
	}

	std::unique_ptr<::nsw_watcher, closing> handle_;
	/// The last event, until the next one is taken.
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
 * Lists, and waiting for one name
 * ===============================
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

/// Lists the names in a directory: a created for each, followed by a ready if it can be opened. A missing directory has
/// no names. Errors: as nsw_open(). Since: 0.1
inline std::vector<event> list_named(const std::string &dir = "/run/netns")
{
	return detail::until_synced(watcher(options().dir(dir)));
}
inline std::vector<event> list_named(const std::string &dir, std::error_code &ec)
{
	return detail::until_synced(watcher(source::named, options().dir(dir), ec), ec);
}

/// Lists every network namespace of this host that the caller can see: a netns_new for each. Errors: as nsw_open().
/// Since: 0.1
inline std::vector<event> list_all()
{
	return detail::until_synced(watcher(source::all));
}
inline std::vector<event> list_all(std::error_code &ec)
{
	return detail::until_synced(watcher(source::all, options(), ec), ec);
}

/// Waits for events until a named network namespace can be opened, and identifies it; none: the time is over. A name
/// in /run/netns; with a '/' in it, a path; nsw_netns_wait(). The time is as in watcher::wait(). Since: 0.1
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
/// Waits without limit.
inline netns wait_ready(const std::string &name)
{
	return *wait_ready(name, std::chrono::milliseconds::max());
}

/*
 * Nsids
 * =====
 */

/// Nsids in the network namespace of the calling thread. std::nullopt: no nsid assigned. Each function has an overload
/// with a std::error_code. Since: 0.1
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

/// The nsid of the network namespace of a process or thread; nsid_get_for_pid().
inline std::optional<std::int32_t> get_for_pid(::pid_t pid, std::error_code &ec) noexcept
{
	return detail::ask(ec, [=](std::int32_t *to) { return ::nsid_get_for_pid(pid, to); });
}
inline std::optional<std::int32_t> get_for_pid(::pid_t pid)
{
	return detail::checked([=](auto &ec) { return get_for_pid(pid, ec); },
		detail::doing("ask for the nsid of process ", pid));
}

/// The nsid of an open network namespace; nsid_get_for_fd().
inline std::optional<std::int32_t> get_for_fd(int number, std::error_code &ec) noexcept
{
	return detail::ask(ec, [=](std::int32_t *to) { return ::nsid_get_for_fd(number, to); });
}
inline std::optional<std::int32_t> get_for_fd(int number)
{
	return detail::checked([=](auto &ec) { return get_for_fd(number, ec); },
		detail::doing("ask for the nsid of descriptor ", number));
}

/// The nsid of a named network namespace; nsid_get_for_name().
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

/// The nsid of the network namespace of the process behind a pidfd; nsid_get_for_pidfd().
inline std::optional<std::int32_t> get_for_pidfd(int pidfd, std::error_code &ec) noexcept
{
	return detail::ask(ec, [=](std::int32_t *to) { return ::nsid_get_for_pidfd(pidfd, to); });
}
inline std::optional<std::int32_t> get_for_pidfd(int pidfd)
{
	return detail::checked([=](auto &ec) { return get_for_pidfd(pidfd, ec); },
		detail::doing("ask for the nsid of pidfd ", pidfd));
}

/// The nsid of an open network namespace in another one, `where`; nsid_get_as_seen_from().
inline std::optional<std::int32_t> get_as_seen_from(int where, int number, std::error_code &ec) noexcept
{
	return detail::ask(ec, [=](std::int32_t *to) { return ::nsid_get_as_seen_from(where, number, to); });
}
inline std::optional<std::int32_t> get_as_seen_from(int where, int number)
{
	return detail::checked([=](auto &ec) { return get_as_seen_from(where, number, ec); },
		detail::doing("ask for the nsid of descriptor ", number));
}

/// Assigns an nsid here to an open network namespace: `wanted`, or the lowest free one; nsid_assign(). Returns the
/// nsid, or -1 with an error in `ec`.
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

/// The nsid here of the namespace that has the nsid `known` in the peer `from`; nsid_translate().
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

/// All nsids assigned here, in ascending order; nsid_list().
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

/// Optional features of the kernel and the caller's privileges, NSW_FEATURE_*. Since: 0.1
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

/// Whether a watcher that the calling thread opened now would have the feature; nsw_feature(). Since: 0.1
inline bool has(feature which, std::error_code &ec) noexcept
{
	return detail::store(::nsw_feature(static_cast<std::uint32_t>(which)), ec) == 1;
}
inline bool has(feature which)
{
	return detail::checked([=](auto &ec) { return has(which, ec); },
		detail::doing("try the feature ", static_cast<std::uint32_t>(which)));
}

/// The version of the loaded library, as "0.1.0"; nsw_version(). NSW_VERSION_* is that of the header. Since: 0.1
inline const char *version() noexcept
{
	return ::nsw_version();
}

} // namespace nswatch

/// The hash for std::unordered_map, consistent with ==. Since: 0.1
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
