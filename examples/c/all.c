/*
 * Prints the births and deaths of all network namespaces, with or without a name, and a process in each: all
 *
 * Try it on `unshare --net sleep 10`. Without root it misses namespaces of other users' processes, and
 * reports new ones later.
 */
#include <inttypes.h>
#include <nswatch.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "printable.h"

/* A namespace, with a process and a path from its birth. The identity is the key: names and pids may pass to others. */
struct entry {
	struct nsw_netns netns;
	int32_t pid;   /* 0: none known */
	char command[64];
	char *path; /* NULL: none known */
};

struct table {
	struct entry *entries;
	size_t count;
};

/* The command of a process, which the process itself chooses. The process may have ended. */
static void read_command(int32_t pid, char *command, size_t size)
{
	char path[64];
	FILE *file;
	size_t length = 0;

	snprintf(path, sizeof(path), "/proc/%" PRId32 "/comm", pid);
	file = fopen(path, "re");
	if (file) {
		length = fread(command, 1, size - 1, file);
		fclose(file);
	}
	if (length && command[length - 1] == '\n')
		length--;
	command[length] = '\0';
}

static struct entry *add(struct table *table, const nsw_event *event)
{
	const char *path = nsw_event_path(event);
	struct entry *more = realloc(table->entries, (table->count + 1) * sizeof(*more));
	struct entry *entry;

	if (!more)
		return NULL;
	table->entries = more;
	entry = &more[table->count];
	entry->pid = nsw_event_pid(event);
	entry->path = path ? strdup(path) : NULL;
	entry->command[0] = '\0';
	if ((path && !entry->path) || nsw_event_netns(event, &entry->netns) < 0)
		return NULL;
	if (entry->pid)
		read_command(entry->pid, entry->command, sizeof(entry->command));
	table->count++;
	return entry;
}

static struct entry *find(struct table *table, const nsw_event *event)
{
	struct nsw_netns netns;

	if (nsw_event_netns(event, &netns) < 0)
		return NULL;
	for (size_t i = 0; i < table->count; i++)
		if (nsw_netns_same(&table->entries[i].netns, &netns) == 1)
			return &table->entries[i];
	return NULL;
}

static void delete(struct table *table, struct entry *entry)
{
	free(entry->path);
	*entry = table->entries[--table->count];
}

static void print(const nsw_event *event, const struct entry *entry)
{
	printf("%s", nsw_event_type_name(nsw_event_type(event)));
	if (nsw_event_ino(event))
		printf(" net:[%" PRIu64 "]", nsw_event_ino(event));
	if (entry && entry->pid) {
		printf(" %" PRId32 " ", entry->pid);
		print_name(stdout, *entry->command ? entry->command : "?");
	} else if (entry && entry->path) {
		printf(" ");
		print_name(stdout, entry->path);
	}
	printf(nsw_event_flags(event) & NSW_EVENT_REPLAYED ? " (replayed)\n" : "\n");
	fflush(stdout);
}

static void apply(struct table *table, const nsw_event *event)
{
	uint32_t type = nsw_event_type(event);
	struct entry *entry = type == NSW_EVENT_NETNS_NEW ? add(table, event) : find(table, event);

	print(event, entry);
	if (type == NSW_EVENT_NETNS_DEL && entry)
		delete(table, entry);
}

static int signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

int main(void)
{
	struct table table = { NULL, 0 };
	nsw_watcher *watcher = NULL;
	int ending = signals(), rc = nsw_open(NSW_SOURCE_ALL, NULL, &watcher);

	while (rc >= 0) {
		struct pollfd fds[] = { { .fd = nsw_fd(watcher), .events = POLLIN }, { .fd = ending, .events = POLLIN } };
		const nsw_event *event;

		poll(fds, 2, -1);
		if (fds[1].revents)
			break;
		while ((rc = nsw_next_event(watcher, &event)) > 0)
			apply(&table, event);
	}
	while (table.count)
		delete(&table, &table.entries[0]);
	free(table.entries);
	nsw_close(watcher);
	close(ending);
	if (rc < 0) {
		fprintf(stderr, "all: %s\n", nsw_strerror(rc));
		return 1;
	}
	return 0;
}
