/* Preloaded into a worker: kills it before its n-th change of the file system, counted from `count_from_here`.

   Changes are: making, writing, renaming, linking, shortening and deleting files and folders. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_int counting, counted_so_far, die_at;

void count_from_here(int n) { die_at = n; counted_so_far = 0; counting = 1; }
int counted(void) { counting = 0; return counted_so_far; }

static void step(void) {
    if (counting && atomic_fetch_add(&counted_so_far, 1) + 1 == die_at) kill(getpid(), SIGKILL), pause();
}

#define REAL(name) static typeof(&name) real; if (!real) real = (typeof(&name))dlsym(RTLD_NEXT, #name)

static int on_disk(int fd) { struct stat s; return fd > 2 && fstat(fd, &s) == 0 && S_ISREG(s.st_mode); }

ssize_t write(int fd, const void *data, size_t size) { REAL(write); if (on_disk(fd)) step(); return real(fd, data, size); }
ssize_t writev(int fd, const struct iovec *data, int n) { REAL(writev); if (on_disk(fd)) step(); return real(fd, data, n); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { REAL(pwrite64); step(); return real(fd, data, size, at); }
int rename(const char *from, const char *to) { REAL(rename); step(); return real(from, to); }
int renameat(int a, const char *from, int b, const char *to) { REAL(renameat); step(); return real(a, from, b, to); }
int link(const char *from, const char *to) { REAL(link); step(); return real(from, to); }
int linkat(int a, const char *from, int b, const char *to, int f) { REAL(linkat); step(); return real(a, from, b, to, f); }
int unlink(const char *path) { REAL(unlink); step(); return real(path); }
int unlinkat(int a, const char *path, int f) { REAL(unlinkat); step(); return real(a, path, f); }
int rmdir(const char *path) { REAL(rmdir); step(); return real(path); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); step(); return real(path, mode); }
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); step(); return real(fd, size); }

static int opening(int flags) { return flags & (O_CREAT | O_TRUNC); }
#define OPEN(name)                                                          \
    int name(const char *path, int flags, ...) {                            \
        REAL(name);                                                         \
        va_list rest; va_start(rest, flags);                                \
        mode_t mode = opening(flags) ? va_arg(rest, mode_t) : 0;            \
        va_end(rest);                                                       \
        if (opening(flags)) step();                                         \
        return real(path, flags, mode);                                     \
    }
OPEN(open)
OPEN(open64)
#define OPENAT(name)                                                        \
    int name(int folder, const char *path, int flags, ...) {                \
        REAL(name);                                                         \
        va_list rest; va_start(rest, flags);                                \
        mode_t mode = opening(flags) ? va_arg(rest, mode_t) : 0;            \
        va_end(rest);                                                       \
        if (opening(flags)) step();                                         \
        return real(folder, path, flags, mode);                             \
    }
OPENAT(openat)
OPENAT(openat64)
