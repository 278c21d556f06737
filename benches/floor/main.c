/*
 * Measures nswatch against its necessary system calls, in turns, in one process, on the same events. Prints a line for each
 * figure, see report():
 *
 *     tests/sandbox floor [ROUNDS [MEASUREMENT…]]    the measurements: see below
 */
#include "floor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const struct {
	const char *name;
	void (*measure)(int rounds);
} measurements[] = {
	{ "names", measure_names },   { "looks", measure_looks },     { "statx", measure_statx },
	{ "memory", measure_memory }, { "open", measure_open },	      { "nsids", measure_nsids },
	{ "queries", measure_queries }, { "mounts", measure_mounts }, { "births", measure_births },
	{ "deaths", measure_deaths }, { "forks", measure_forks },     { "census", measure_census },
	{ "watchers", measure_watchers },
};

static void raise_limit(int resource)
{
	struct rlimit limit;

	need(getrlimit(resource, &limit) == 0, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	need(setrlimit(resource, &limit) == 0, "setrlimit");
}

static int is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return 1;
	return argc <= 2;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 20;

	need(rounds > 0 && rounds <= 250, "ROUNDS");
	need(mkdir(NETNS, 0755) == 0 || errno == EEXIST, NETNS);
	raise_limit(RLIMIT_NOFILE);
	raise_limit(RLIMIT_NPROC);
	for (size_t i = 0; i < sizeof(measurements) / sizeof(measurements[0]); i++)
		if (is_wanted(measurements[i].name, argc, argv))
			measurements[i].measure(rounds);
	return 0;
}
