/*
 * Declares the locks of Rust's standard library to ThreadSanitizer, for ci/sanitize. That library is not instrumented.
 * ThreadSanitizer sees its inlined code, but not two functions: the one that takes a lock which another thread holds, and
 * the one that waits for a condition. The linker replaces them by these (--wrap). LOCK and WAIT are their names in the
 * current toolchain.
 */

#define PASTE(a, b) a##b
#define NAME(prefix, name) PASTE(prefix, name)

void __tsan_acquire(void *address);
void __tsan_release(void *address);

void NAME(__real_, LOCK)(void *mutex);
void NAME(__wrap_, LOCK)(void *mutex);
void NAME(__real_, WAIT)(void *condition, void *mutex);
void NAME(__wrap_, WAIT)(void *condition, void *mutex);

void NAME(__wrap_, LOCK)(void *mutex)
{
    NAME(__real_, LOCK)(mutex);
    __tsan_acquire(mutex);
}

void NAME(__wrap_, WAIT)(void *condition, void *mutex)
{
    __tsan_release(mutex);
    NAME(__real_, WAIT)(condition, mutex);
    __tsan_acquire(mutex);
}
