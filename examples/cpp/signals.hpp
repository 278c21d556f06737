/* Ctrl-C and kill(1) as a descriptor to poll, so that a loop ends in order. */
#ifndef SIGNALS_HPP
#define SIGNALS_HPP

#include <nswatch.hpp>

#include <csignal>
#include <sys/signalfd.h>

inline nswatch::fd signals()
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, nullptr);
	return nswatch::fd(signalfd(-1, &set, SFD_CLOEXEC));
}

#endif
