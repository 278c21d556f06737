/*
 * A small routing daemon: it keeps one netlink socket in each network namespace that has a name, and knows the links
 * there: router [DIR]
 *
 * A namespace may have several names, and a name may pass to another namespace: the key is struct nsw_netns.
 *
 * A socket stays in the namespace in which it was made, and keeps that namespace alive. So the daemon closes the socket
 * when the last name is gone. It asks for mount events too, for names that are unmounted and not deleted.
 *
 * It need not handle lost events: replayed events with their net effect follow. Requires CAP_SYS_ADMIN.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <nswatch.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "printable.h"

struct link {
	struct link *next;
	int index, up;
	unsigned round; /* the dump that listed it last, or that ran at its last notification */
	char name[IF_NAMESIZE];
};

struct name {
	struct name *next;
	char *text;
};

struct netns {
	struct netns *next;
	struct nsw_netns key;
	struct name *names; /* at least one */
	int socket;
	struct link *links;
	unsigned round;
	int dumping;
	int again; /* messages were lost: make a dump after the running one */
};

struct router {
	nsw_watcher *watcher;
	struct netns *all;
	int epoll, ending, home;
};

static void complain(const char *name, const char *what, int error)
{
	fprintf(stderr, "router: ");
	print_name(stderr, name);
	fprintf(stderr, ": %s: %s\n", what, strerror(error));
}

static void print_netns(const char *name, const char *what)
{
	print_name(stdout, name);
	printf(": %s\n", what);
}

static int listen_to(const struct router *router, int fd, void *whose)
{
	struct epoll_event interest = { .events = EPOLLIN, .data.ptr = whose };

	return epoll_ctl(router->epoll, EPOLL_CTL_ADD, fd, &interest);
}

/* Links */

static struct link **find_link(struct netns *netns, int index)
{
	struct link **at = &netns->links;

	while (*at && (*at)->index != index)
		at = &(*at)->next;
	return at;
}

static void remove_link(struct link **at)
{
	struct link *gone = *at;

	*at = gone->next;
	free(gone);
}

static void print_link(const char *name, const struct link *link, const char *what)
{
	print_name(stdout, name);
	printf(": link ");
	print_name(stdout, link->name);
	printf(" %s\n", what);
}

static void print_everywhere(const struct netns *netns, const struct link *link, const char *what)
{
	for (const struct name *name = netns->names; name; name = name->next)
		print_link(name->text, link, what);
}

static const char *state(const struct link *link)
{
	return link->up ? "up" : "down";
}

static void on_link(struct netns *netns, const struct nlmsghdr *message)
{
	const struct ifinfomsg *info = NLMSG_DATA(message);
	int length = (int)IFLA_PAYLOAD(message), up = (info->ifi_flags & IFF_UP) != 0;
	struct link **at = find_link(netns, info->ifi_index);
	const char *name = NULL;
	int changed;

	/* bridges report their ports in messages of the same type */
	if (info->ifi_family != AF_UNSPEC)
		return;
	for (const struct rtattr *a = IFLA_RTA(info); RTA_OK(a, length); a = RTA_NEXT(a, length))
		if (a->rta_type == IFLA_IFNAME)
			name = RTA_DATA(a);
	if (message->nlmsg_type == RTM_DELLINK) {
		if (*at) {
			print_everywhere(netns, *at, "gone");
			remove_link(at);
		}
		return;
	}
	if (!name)
		return;
	if (!*at) {
		*at = calloc(1, sizeof(**at));
		if (!*at) {
			complain(netns->names->text, "cannot keep a link", errno);
			return;
		}
		(*at)->index = info->ifi_index;
	}
	changed = (*at)->up != up || strcmp((*at)->name, name) != 0;
	(*at)->up = up;
	(*at)->round = netns->round;
	snprintf((*at)->name, sizeof((*at)->name), "%s", name);
	if (changed)
		print_everywhere(netns, *at, state(*at));
}

/* Requests all links. A known link that the answer does not list is gone. */
static void ask_for_links(struct netns *netns)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
	} request = { .header = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETLINK,
				  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = ++netns->round } };

	netns->again = 0;
	netns->dumping = send(netns->socket, &request, sizeof(request), 0) > 0;
	if (!netns->dumping)
		complain(netns->names->text, "cannot ask for links", errno);
}

static void on_end_of_dump(struct netns *netns)
{
	struct link **at = &netns->links;

	netns->dumping = 0;
	if (netns->again)
		return;
	while (*at) {
		if ((*at)->round == netns->round) {
			at = &(*at)->next;
			continue;
		}
		print_everywhere(netns, *at, "gone");
		remove_link(at);
	}
}

static void on_message(struct netns *netns, const struct nlmsghdr *message)
{
	/* the list changed during the dump */
	if (message->nlmsg_flags & NLM_F_DUMP_INTR && netns->dumping)
		netns->again = 1;
	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		on_link(netns, message);
		break;
	case NLMSG_DONE:
		on_end_of_dump(netns);
		break;
	case NLMSG_ERROR:
		netns->dumping = 0;
		complain(netns->names->text, "cannot list links", -((struct nlmsgerr *)NLMSG_DATA(message))->error);
		break;
	}
}

/* Returns 1: there may be more; 0: nothing left. */
static int read_netlink(struct netns *netns)
{
	static union {
		struct nlmsghdr header;
		char bytes[1 << 15];
	} buffer;
	struct sockaddr_nl from = { 0 };
	socklen_t size = sizeof(from);
	ssize_t got = recvfrom(netns->socket, &buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &size);
	unsigned length = (unsigned)got;

	if (got < 0) {
		if (errno == ENOBUFS)
			netns->again = 1;
		else if (errno != EAGAIN)
			complain(netns->names->text, "cannot read", errno);
		return errno == ENOBUFS;
	}
	if (from.nl_pid == 0) /* from the kernel: other processes can write to the socket too */
		for (struct nlmsghdr *m = &buffer.header; NLMSG_OK(m, length); m = NLMSG_NEXT(m, length))
			on_message(netns, m);
	return 1;
}

static void on_netlink(struct netns *netns)
{
	while (read_netlink(netns))
		;
	/* only now: the queued messages are older than the dump, and a full queue reports no further loss */
	if (netns->again && !netns->dumping)
		ask_for_links(netns);
}

/* Namespaces */

/* Makes a socket in another namespace. The only thread enters it and comes back. */
static int socket_inside(const struct router *router, int netns)
{
	struct sockaddr_nl links = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int fd, error;

	if (setns(netns, CLONE_NEWNET) < 0)
		return -errno;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	error = fd < 0 ? errno : 0;
	if (setns(router->home, CLONE_NEWNET) < 0) {
		/* everything from here on would run in the wrong namespace */
		perror("router: cannot go back to the own namespace");
		abort();
	}
	if (fd >= 0 && bind(fd, (struct sockaddr *)&links, sizeof(links)) < 0) {
		error = errno;
		close(fd);
	}
	return error ? -error : fd;
}

/* Closing the socket also removes it from the epoll set. */
static void forget(struct netns **at)
{
	struct netns *gone = *at;

	*at = gone->next;
	while (gone->links)
		remove_link(&gone->links);
	close(gone->socket);
	free(gone);
}

static struct netns *find(const struct router *router, const struct nsw_netns *key)
{
	struct netns *netns = router->all;

	while (netns && nsw_netns_same(&netns->key, key) != 1)
		netns = netns->next;
	return netns;
}

static struct name **find_name(struct netns *netns, const char *name)
{
	struct name **at = &netns->names;

	while (*at && strcmp((*at)->text, name) != 0)
		at = &(*at)->next;
	return at;
}

static int add_name(struct netns *netns, const char *text)
{
	struct name *name = calloc(1, sizeof(*name));

	if (name)
		name->text = strdup(text);
	if (!name || !name->text) {
		free(name);
		return -1;
	}
	name->next = netns->names;
	netns->names = name;
	return 0;
}

static void remove_name(struct name **at)
{
	struct name *gone = *at;

	*at = gone->next;
	free(gone->text);
	free(gone);
}

/* Closes the socket with the last name of a namespace. */
static void on_gone(struct router *router, const char *name)
{
	for (struct netns **at = &router->all; *at; at = &(*at)->next) {
		struct name **known = find_name(*at, name);

		if (!*known)
			continue;
		print_netns(name, "closed");
		remove_name(known);
		if (!(*at)->names)
			forget(at);
		return;
	}
}

/* Opens a socket in a namespace that has none yet; returns NULL on failure. */
static struct netns *enter(struct router *router, const nsw_event *ready, const struct nsw_netns *key)
{
	const char *name = nsw_event_name(ready);
	struct netns *netns;
	int socket, fd = nsw_open_netns(router->watcher, ready);

	/* gone or replaced already; an event for that follows */
	if (fd == -ENOENT || fd == -ESTALE)
		return NULL;
	socket = fd < 0 ? fd : socket_inside(router, fd);
	if (fd >= 0)
		close(fd);
	if (socket < 0) {
		complain(name, "cannot enter", -socket);
		return NULL;
	}
	netns = calloc(1, sizeof(*netns));
	if (!netns || listen_to(router, socket, netns) < 0) {
		complain(name, "cannot watch", errno);
		free(netns);
		close(socket);
		return NULL;
	}
	netns->key = *key;
	netns->socket = socket;
	netns->next = router->all;
	router->all = netns;
	return netns;
}

static void on_ready(struct router *router, const nsw_event *ready)
{
	const char *name = nsw_event_name(ready);
	struct nsw_netns key;
	struct netns *netns;

	nsw_event_netns(ready, &key);
	netns = find(router, &key);
	if (netns && *find_name(netns, name))
		return;
	/* another READY of a name: this namespace replaced that one */
	on_gone(router, name);
	if (!netns)
		netns = enter(router, ready, &key);
	if (!netns)
		return;
	if (add_name(netns, name) < 0) {
		complain(name, "cannot watch", errno);
		if (!netns->names)
			forget(&router->all); /* the first one, just added by enter() */
		return;
	}
	print_netns(name, "opened");
	for (const struct link *link = netns->links; link; link = link->next)
		print_link(name, link, state(link));
	if (netns->round == 0)
		ask_for_links(netns);
}

static int on_namespaces(struct router *router)
{
	const nsw_event *event;
	int rc;

	while ((rc = nsw_next_event(router->watcher, &event)) > 0) {
		switch (nsw_event_type(event)) {
		case NSW_EVENT_READY:
			on_ready(router, event);
			break;
		case NSW_EVENT_DETACHED:
		case NSW_EVENT_DELETED:
			on_gone(router, nsw_event_name(event));
			break;
		}
	}
	return rc;
}

static int open_watcher(struct router *router, const char *dir)
{
	nsw_options *options = nsw_options_new();
	int rc = nsw_options_set_flags(options, NSW_MOUNT_EVENTS);

	if (rc == 0 && dir)
		rc = nsw_options_set_dir(options, dir);
	if (rc == 0)
		rc = nsw_open(NSW_SOURCE_NAMED, options, &router->watcher);
	nsw_options_free(options);
	return rc;
}

static int serve(struct router *router)
{
	int rc = 0;

	if (listen_to(router, nsw_fd(router->watcher), router->watcher) < 0 ||
	    listen_to(router, router->ending, router) < 0)
		return -errno;
	while (rc >= 0) {
		struct epoll_event ready;

		fflush(stdout);
		/* one at a time: handling it may close the socket of the next one */
		if (epoll_wait(router->epoll, &ready, 1, -1) != 1)
			continue;
		if (ready.data.ptr == router)
			break;
		if (ready.data.ptr == router->watcher)
			rc = on_namespaces(router);
		else
			on_netlink(ready.data.ptr);
	}
	return rc;
}

int main(int argc, char **argv)
{
	struct router router = { 0 };
	sigset_t signals;
	int rc;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	router.ending = signalfd(-1, &signals, SFD_CLOEXEC);
	router.epoll = epoll_create1(EPOLL_CLOEXEC);
	router.home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (router.ending < 0 || router.epoll < 0 || router.home < 0) {
		perror("router");
		return 1;
	}
	rc = open_watcher(&router, argc > 1 ? argv[1] : NULL);
	if (rc == 0)
		rc = serve(&router);
	while (router.all) {
		while (router.all->names)
			remove_name(&router.all->names);
		forget(&router.all);
	}
	nsw_close(router.watcher);
	close(router.home);
	close(router.epoll);
	close(router.ending);
	if (rc < 0) {
		fprintf(stderr, "router: %s\n", nsw_strerror(rc));
		return 1;
	}
	return 0;
}
