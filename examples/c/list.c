/*
 * Lists the names in a directory and the network namespaces that they refer to: list [DIR]
 *
 * It applies the replayed events until SYNCED. A program that keeps watching does the same.
 */
#include <errno.h>
#include <inttypes.h>
#include <nswatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "printable.h"

struct entry {
	char *name;
	uint64_t ino; /* 0: no network namespace */
};

struct list {
	struct entry *entries;
	size_t count;
};

static struct entry *find(const struct list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->entries[i].name, name) == 0)
			return &list->entries[i];
	return NULL;
}

static struct entry *add(struct list *list, const char *name)
{
	struct entry *more = realloc(list->entries, (list->count + 1) * sizeof(*more));

	if (!more)
		return NULL;
	list->entries = more;
	more[list->count].name = strdup(name);
	more[list->count].ino = 0;
	return more[list->count].name ? &more[list->count++] : NULL;
}

static void delete(struct list *list, struct entry *entry)
{
	free(entry->name);
	*entry = list->entries[--list->count];
}

static int apply(struct list *list, const nsw_event *event)
{
	const char *name = nsw_event_name(event);
	struct entry *entry;

	if (!name)
		return 0;
	entry = find(list, name);
	if (nsw_event_type(event) == NSW_EVENT_DELETED) {
		if (entry)
			delete(list, entry);
		return 0;
	}
	if (!entry && !(entry = add(list, name)))
		return -ENOMEM;
	/* the inode number: 0 unless the event is a READY */
	entry->ino = nsw_event_ino(event);
	return 0;
}

static int by_name(const void *one, const void *other)
{
	return strcmp(((const struct entry *)one)->name, ((const struct entry *)other)->name);
}

static void print(struct list *list)
{
	if (list->count)
		qsort(list->entries, list->count, sizeof(*list->entries), by_name);
	for (size_t i = 0; i < list->count; i++) {
		print_name(stdout, list->entries[i].name);
		if (list->entries[i].ino)
			printf(" net:[%" PRIu64 "]\n", list->entries[i].ino);
		else
			printf(" -\n");
	}
}

int main(int argc, char **argv)
{
	nsw_options *options = nsw_options_new();
	nsw_watcher *watcher = NULL;
	struct list list = { NULL, 0 };
	const nsw_event *event;
	int rc = 0;

	if (argc > 1)
		rc = nsw_options_set_dir(options, argv[1]);
	if (rc == 0)
		rc = nsw_open(NSW_SOURCE_NAMED, options, &watcher);
	nsw_options_free(options);

	while (rc >= 0 && (rc = nsw_wait_event(watcher, -1, &event)) > 0) {
		if (nsw_event_type(event) == NSW_EVENT_SYNCED)
			break;
		rc = apply(&list, event);
	}
	if (rc > 0)
		print(&list);
	while (list.count)
		delete(&list, &list.entries[0]);
	free(list.entries);
	nsw_close(watcher);
	if (rc < 0) {
		fprintf(stderr, "list: %s\n", nsw_strerror(rc));
		return 1;
	}
	return 0;
}
