/* The driver of the conformance tests in C: README.md has the protocol. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <nswatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_MS 20000
#define MOST_IDS 4096

static nsw_watcher *watcher;
static const nsw_event *event;
static struct nsw_netns kept;

/* The number of a word in a table; 0 if it is missing. */
static uint32_t number(const char *const *words, const char *word)
{
	for (uint32_t i = 1; words[i]; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	return 0;
}

static const char *next(void)
{
	return strtok(NULL, " ");
}

static int number_or(int none)
{
	const char *word = next();

	return word ? atoi(word) : none;
}

static int set_option(nsw_options *options, uint32_t *flags, char *word)
{
	static const char *const policies[] = { "", "block", "drop-newest", "drop-oldest", NULL };
	static const char *const names[] = { "",	     "no-replay", "no-parent",	     "dir-events",
					     "mount-events", "all-nsid",  "no-mount-events", "no-symlinks", NULL };
	uint32_t flag = number(names, word);
	char *value = strchr(word, '=');

	if (flag) {
		*flags |= 1u << (flag - 1);
		return nsw_options_set_flags(options, *flags);
	}
	*value++ = '\0';
	if (strcmp(word, "dir") == 0)
		return nsw_options_set_dir(options, value);
	if (strcmp(word, "settle") == 0)
		return nsw_options_set_settle(options, (uint32_t)atoi(value));
	if (strcmp(word, "max-names") == 0)
		return nsw_options_set_max_names(options, (uint32_t)atoi(value));
	if (strcmp(word, "rcvbuf") == 0)
		return nsw_options_set_rcvbuf(options, (uint32_t)atoi(value));
	return nsw_options_set_queue(options, (uint32_t)atoi(value), number(policies, strchr(value, ',') + 1));
}

static int open_watcher(void)
{
	static const char *const sources[] = { "", "named", "nsid", "all", NULL };
	uint32_t source = number(sources, next()), flags = 0;
	nsw_options *options = nsw_options_new();
	const char *word;
	int rc = 0;

	while (rc == 0 && (word = next()))
		rc = set_option(options, &flags, (char *)word);
	if (rc == 0)
		rc = nsw_open(source, options, &watcher);
	nsw_options_free(options);
	return rc;
}

static void print_hex(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		printf("%02x", (unsigned char)bytes[i]);
	if (!bytes)
		printf("-");
}

static void print_event(void)
{
	const char *path = nsw_event_path(event);

	printf("event %s %" PRIu32 " ", nsw_event_type_name(nsw_event_type(event)), nsw_event_flags(event));
	print_hex(nsw_event_name(event), nsw_event_name_len(event));
	printf(" %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId32 " %" PRId32 " %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRId32 " ",
	       nsw_event_dev(event), nsw_event_ino(event), nsw_event_cookie(event), nsw_event_nsid(event),
	       nsw_event_origin(event), nsw_event_portid(event), nsw_event_dropped(event), nsw_event_time_ns(event),
	       nsw_event_pid(event));
	print_hex(path, path ? strlen(path) : 0);
	printf("\n");
}

/* Events until one of this type; until the first one if that is NULL. */
static int until(const char *type)
{
	int rc;

	while ((rc = nsw_wait_event(watcher, PATIENCE_MS, &event)) > 0) {
		print_event();
		if (!type || strcmp(type, nsw_event_type_name(nsw_event_type(event))) == 0)
			return 1;
	}
	if (rc == 0)
		printf("nothing\n");
	return rc < 0 ? rc : 1;
}

static int stat_of(const char *word)
{
	static const char *const names[] = { "", "delivered", "dropped", "overflows", "resyncs", "queued", "queued_max",
					     "pending", "known", NULL };

	printf("stat %" PRIu64 "\n", nsw_stat(watcher, number(names, word)));
	return 1;
}

static int feature(const char *word)
{
	static const char *const names[] = { "", "mount_events", "mount_poll", "cookie", "mount_id", "ns_handles",
					     "statmount", "", "target_nsid", "all_nsid", "listns", "births", "deaths", NULL };
	int rc = nsw_feature(number(names, word));

	if (rc < 0)
		return rc;
	printf("feature %d\n", rc);
	return 1;
}

/* Prints the identity of an open namespace, or returns the error of opening it. */
static int opened(int fd)
{
	struct stat status;

	if (fd < 0)
		return fd;
	fstat(fd, &status);
	close(fd);
	printf("netns %" PRIu64 " %" PRIu64 "\n", (uint64_t)status.st_dev, (uint64_t)status.st_ino);
	return 1;
}

/* Finds an identity in the way that the next word names. */
static int find(struct nsw_netns *found)
{
	const char *way = next();

	if (strcmp(way, "event") == 0)
		return nsw_event_netns(event, found);
	if (strcmp(way, "pid") == 0)
		return nsw_netns_for_pid(number_or(0), found);
	if (strcmp(way, "nsid") == 0)
		return nsw_netns_for_nsid(number_or(0), found);
	if (strcmp(way, "ready") == 0) {
		int rc = nsw_netns_wait(next(), PATIENCE_MS, found);

		return rc == 1 ? 0 : rc == 0 ? -ETIMEDOUT : rc;
	}
	if (strcmp(way, "fd") == 0) {
		int fd = open(next(), O_RDONLY | O_CLOEXEC);
		int rc = fd < 0 ? -errno : nsw_netns_for_fd(fd, found);

		if (fd >= 0)
			close(fd);
		return rc;
	}
	return nsw_netns_for_name(next(), found);
}

static int identify(void)
{
	int rc = find(&kept);

	if (rc < 0)
		return rc;
	printf("netns %" PRIu64 " %" PRIu64 "\n", kept.dev, kept.ino);
	return 1;
}

static int same(void)
{
	struct nsw_netns other;
	int rc = find(&other);

	if (rc < 0)
		return rc;
	printf("same %d\n", nsw_netns_same(&kept, &other));
	return 1;
}

static int nsid_of(const char *command)
{
	int32_t nsid;
	int rc, fd = -1;

	if (strcmp(command, "pid") == 0) {
		rc = nsid_get_for_pid(number_or(0), &nsid);
	} else if (strcmp(command, "name") == 0) {
		rc = nsid_get_for_name(next(), &nsid);
	} else if (strcmp(command, "translate") == 0) {
		int32_t peers = number_or(0);

		rc = nsid_translate(peers, number_or(0), &nsid);
	} else {
		fd = open(next(), O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		if (strcmp(command, "fd") == 0)
			rc = nsid_get_for_fd(fd, &nsid);
		else
			rc = nsid_assign(fd, number_or(NSID_NOT_ASSIGNED), &nsid);
		close(fd);
	}
	if (rc < 0)
		return rc;
	printf("nsid %" PRId32 "\n", nsid);
	return 1;
}

static int list(void)
{
	int32_t nsids[MOST_IDS];
	size_t count;
	int rc = nsid_list(nsids, MOST_IDS, &count);

	if (rc < 0)
		return rc;
	printf("nsids");
	for (size_t i = 0; i < count; i++)
		printf(" %" PRId32, nsids[i]);
	printf("\n");
	return 1;
}

/* 0: done; 1: it has printed its answer; negative: an error. */
static int obey(const char *command)
{
	if (strcmp(command, "open") == 0)
		return open_watcher();
	if (strcmp(command, "wait") == 0)
		return until(NULL);
	if (strcmp(command, "until") == 0)
		return until(next());
	if (strcmp(command, "resync") == 0)
		return nsw_resync(watcher);
	if (strcmp(command, "stat") == 0)
		return stat_of(next());
	if (strcmp(command, "feature") == 0)
		return feature(next());
	if (strcmp(command, "netns") == 0)
		return opened(nsw_open_netns(watcher, event));
	if (strcmp(command, "identify") == 0)
		return identify();
	if (strcmp(command, "same") == 0)
		return same();
	if (strcmp(command, "reopen") == 0)
		return opened(nsw_netns_open(&kept, next()));
	if (strcmp(command, "list") == 0)
		return list();
	if (strcmp(command, "close") != 0)
		return nsid_of(command);
	nsw_close(watcher);
	watcher = NULL;
	return 0;
}

int main(void)
{
	char line[4096];

	while (fgets(line, sizeof(line), stdin)) {
		int rc;

		line[strcspn(line, "\n")] = '\0';
		rc = obey(strtok(line, " "));
		if (rc == 0)
			printf("ok\n");
		else if (rc < 0)
			printf("error %d\n", -rc);
		fflush(stdout);
	}
	nsw_close(watcher);
	return 0;
}
