/*
 * The monitor in the event loop of libuv: libuv [DIR]
 *
 *     cc libuv.c $(pkg-config --cflags --libs nswatch libuv)
 *
 * Any loop that can wait for a descriptor works: give it nsw_fd(), and take all available events when it is readable.
 */
#include <inttypes.h>
#include <nswatch.h>
#include <signal.h>
#include <stdio.h>
#include <uv.h>

#include "printable.h"

struct monitor {
	nsw_watcher *watcher;
	uv_poll_t poll;
	uv_signal_t signals[2];
	int rc;
};

static void print(const nsw_event *event)
{
	const char *name = nsw_event_name(event);
	uint32_t type = nsw_event_type(event);

	printf("%s", nsw_event_type_name(type));
	if (name) {
		printf(" ");
		print_name(stdout, name);
	}
	if (type == NSW_EVENT_READY)
		printf(" net:[%" PRIu64 "]", nsw_event_ino(event));
	if (nsw_event_flags(event) & NSW_EVENT_REPLAYED)
		printf(" (replayed)");
	printf("\n");
	fflush(stdout);
}

/* The loop ends when nothing is left to wait for. */
static void end(struct monitor *monitor)
{
	uv_handle_t *poll = (uv_handle_t *)&monitor->poll;

	if (uv_is_closing(poll))
		return;
	uv_close(poll, NULL);
	for (int i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&monitor->signals[i], NULL);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct monitor *monitor = poll->data;
	const nsw_event *event;

	(void)status;
	(void)events;
	while ((monitor->rc = nsw_next_event(monitor->watcher, &event)) > 0)
		print(event);
	if (monitor->rc < 0)
		end(monitor);
}

static void on_signal(uv_signal_t *handle, int number)
{
	(void)number;
	end(handle->data);
}

static int run(struct monitor *monitor)
{
	static const int numbers[] = { SIGINT, SIGTERM };
	uv_loop_t *loop = uv_default_loop();
	int failure = uv_poll_init(loop, &monitor->poll, nsw_fd(monitor->watcher));

	monitor->poll.data = monitor;
	if (failure == 0)
		failure = uv_poll_start(&monitor->poll, UV_READABLE, on_readable);
	for (int i = 0; i < 2 && failure == 0; i++) {
		failure = uv_signal_init(loop, &monitor->signals[i]);
		monitor->signals[i].data = monitor;
		if (failure == 0)
			failure = uv_signal_start(&monitor->signals[i], on_signal, numbers[i]);
	}
	if (failure) {
		fprintf(stderr, "libuv: %s\n", uv_strerror(failure));
		return 1;
	}
	uv_run(loop, UV_RUN_DEFAULT);
	uv_loop_close(loop);
	uv_library_shutdown();
	return 0;
}

int main(int argc, char **argv)
{
	nsw_options *options = nsw_options_new();
	struct monitor monitor = { .watcher = NULL };
	int rc = 0, status = 0;

	if (argc > 1)
		rc = nsw_options_set_dir(options, argv[1]);
	if (rc == 0)
		rc = nsw_open(NSW_SOURCE_NAMED, options, &monitor.watcher);
	nsw_options_free(options);
	if (rc == 0) {
		status = run(&monitor);
		rc = monitor.rc;
	}
	/* last: the loop must not wait for a closed descriptor */
	nsw_close(monitor.watcher);
	if (rc < 0) {
		fprintf(stderr, "libuv: %s\n", nsw_strerror(rc));
		return 1;
	}
	return status;
}
