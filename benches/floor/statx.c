/*
 * Whether io_uring probes many names for less than a system call each. It does not: the kernel hands each statx(2) to a worker
 * thread. So the library does not use it.
 */
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAMES 1024
#define DEPTH 256

struct uring {
	int fd;
	struct io_uring_sqe *requests;
	uint32_t *tail, *array, *head;
	uint32_t mask, *done_head, *done_tail, done_mask;
	struct io_uring_cqe *done;
};

static int uring_open(struct uring *ring)
{
	struct io_uring_params params = { 0 };
	char *sq, *cq;

	ring->fd = syscall(SYS_io_uring_setup, DEPTH, &params);
	if (ring->fd < 0)
		return -errno;
	sq = mmap(NULL, params.sq_off.array + params.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
		  IORING_OFF_SQ_RING);
	cq = mmap(NULL, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE,
		  MAP_SHARED, ring->fd, IORING_OFF_CQ_RING);
	ring->requests = mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED,
			      ring->fd, IORING_OFF_SQES);
	need(sq != MAP_FAILED && cq != MAP_FAILED && (void *)ring->requests != MAP_FAILED, "mmap");
	ring->tail = (uint32_t *)(sq + params.sq_off.tail);
	ring->array = (uint32_t *)(sq + params.sq_off.array);
	ring->mask = *(uint32_t *)(sq + params.sq_off.ring_mask);
	ring->done_head = (uint32_t *)(cq + params.cq_off.head);
	ring->done_tail = (uint32_t *)(cq + params.cq_off.tail);
	ring->done_mask = *(uint32_t *)(cq + params.cq_off.ring_mask);
	ring->done = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
	return 0;
}

/* Microseconds of a name. */
static double by_uring(struct uring *ring, int dir, char names[][16])
{
	static struct statx results[DEPTH];
	int64_t began = now_ns();

	for (int at = 0; at < NAMES; at += DEPTH) {
		uint32_t tail = *ring->tail;

		for (int i = 0; i < DEPTH; i++, tail++) {
			struct io_uring_sqe *request = &ring->requests[tail & ring->mask];

			memset(request, 0, sizeof(*request));
			request->opcode = IORING_OP_STATX;
			request->fd = dir;
			request->addr = (uintptr_t)names[at + i];
			request->len = STATX_TYPE;
			request->off = (uintptr_t)&results[i];
			request->statx_flags = AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC;
			ring->array[tail & ring->mask] = tail & ring->mask;
		}
		__atomic_store_n(ring->tail, tail, __ATOMIC_RELEASE);
		need(syscall(SYS_io_uring_enter, ring->fd, DEPTH, DEPTH, IORING_ENTER_GETEVENTS, NULL, 0) == DEPTH,
		     "io_uring_enter");
		for (uint32_t head = *ring->done_head; head != *ring->done_tail; head++)
			need(ring->done[head & ring->done_mask].res == 0, "statx by io_uring");
		__atomic_store_n(ring->done_head, *ring->done_tail, __ATOMIC_RELEASE);
	}
	return (now_ns() - began) / 1e3 / NAMES;
}

static double one_by_one(int dir, char names[][16])
{
	struct statx result;
	int64_t began = now_ns();

	for (int i = 0; i < NAMES; i++)
		need(statx(dir, names[i], AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_TYPE, &result) == 0, "statx");
	return (now_ns() - began) / 1e3 / NAMES;
}

void measure_statx(int rounds)
{
	static char names[NAMES][16];
	struct pair pair = { .n = 0 };
	struct uring ring = { 0 };
	int rc = uring_open(&ring), dir = open(NETNS, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (rc != 0) {
		fprintf(stderr, "floor: without io_uring: %s\n", strerror(-rc));
		return;
	}
	make_names("name", NAMES, 0);
	for (int i = 0; i < NAMES; i++)
		snprintf(names[i], sizeof(names[i]), "name-%05d", i);
	for (int round = 0; round < rounds; round++) {
		double uring = by_uring(&ring, dir, names);

		sample(&pair, uring, one_by_one(dir, names));
	}
	remove_names("name", NAMES);
	close(ring.fd);
	close(dir);
	report("not used: statx(2) of a name by io_uring, against one by one", "us", &pair, RATIO, 0);
}
