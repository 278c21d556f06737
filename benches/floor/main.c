/*
 * Measures nswatch against its necessary system calls, in turns, in one process, on the same events. Prints a line for each
 * figure, see report():
 *
 *     tests/sandbox floor [ROUNDS [names|looks|memory|open|nsids|watchers]]
 */
#include "floor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* 1000, or the limit of fs.inotify.max_user_instances for this user, halved for the raw loops. */
static int room_for_watchers(void)
{
	FILE *file = fopen("/proc/sys/fs/inotify/max_user_instances", "r");
	int limit = 128;

	need(file != NULL && fscanf(file, "%d", &limit) == 1, "max_user_instances");
	fclose(file);
	return limit > 2100 ? 1000 : limit / 2 - 14;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 20;
	const char *only = argc > 2 ? argv[2] : "";
	struct rlimit files;

	need(rounds > 0 && rounds <= 500, "ROUNDS");
	need(mkdir(NETNS, 0755) == 0 || errno == EEXIST, NETNS);
	need(getrlimit(RLIMIT_NOFILE, &files) == 0, "getrlimit");
	files.rlim_cur = files.rlim_max;
	need(setrlimit(RLIMIT_NOFILE, &files) == 0, "setrlimit");
	if (strstr("names", only))
		measure_names(rounds);
	if (strstr("looks", only))
		measure_looks(rounds);
	if (strstr("memory", only))
		measure_memory();
	if (strstr("open", only))
		measure_open(rounds);
	if (strstr("nsids", only))
		measure_nsids(rounds);
	if (strstr("watchers", only))
		measure_watchers(room_for_watchers());
	return 0;
}
