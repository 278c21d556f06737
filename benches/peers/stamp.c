/*
 * Runs a command on a terminal of its own, and prefixes each line of its output with the time:
 *
 *     stamp COMMAND [ARGUMENT…]
 */
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char buffer[65536];
	int terminal, begun = 0;
	pid_t child = forkpty(&terminal, NULL, NULL, NULL);
	ssize_t n;

	if (child < 0 || argc < 2) {
		perror("stamp");
		return 1;
	}
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		_exit(1);
	}
	while ((n = read(terminal, buffer, sizeof(buffer))) > 0) {
		struct timespec t;

		clock_gettime(CLOCK_MONOTONIC, &t);
		for (ssize_t i = 0; i < n; i++) {
			if (buffer[i] == '\r')
				continue;
			if (!begun)
				printf("%lld ", t.tv_sec * 1000000000ll + t.tv_nsec);
			begun = buffer[i] != '\n';
			putchar(buffer[i]);
		}
		fflush(stdout);
	}
	waitpid(child, NULL, 0);
	return 0;
}
