/* The yardstick of bench/library.py: as many posix_spawn as the machine gives, output read, nothing else.
   usage: spawn_loop AT_ONCE RUNS PROGRAM [ARG...]     prints: seconds user_seconds system_seconds peak_kib */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct job { pid_t pid; };

static char block[65536];

static void fail(const char *what) { perror(what); exit(1); }

static void start(struct job *job, struct pollfd *ends, char **argv, int null) {
    int out[2], err[2];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) fail("pipe2");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, null, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    errno = posix_spawn(&job->pid, argv[0], &actions, &attributes, argv, environ);
    if (errno) fail("posix_spawn");
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(out[1]);
    close(err[1]);
    ends[0] = (struct pollfd){.fd = out[0], .events = POLLIN};
    ends[1] = (struct pollfd){.fd = err[0], .events = POLLIN};
}

static void take(struct pollfd *end) {
    if (end->fd < 0 || !end->revents) return;
    ssize_t size = read(end->fd, block, sizeof block);
    if (size < 0) fail("read");
    if (size > 0) return;
    close(end->fd);
    end->fd = -1;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    int at_once = atoi(argv[1]), runs = atoi(argv[2]), started = 0, ended = 0;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct job *jobs = calloc(at_once, sizeof *jobs);
    struct pollfd *ends = calloc(2 * at_once, sizeof *ends);
    struct timespec begin, end;
    struct rusage used;
    for (int i = 0; i < 2 * at_once; i++) ends[i].fd = -1;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    while (ended < runs) {
        for (int i = 0; i < at_once; i++) {
            if (jobs[i].pid && ends[2 * i].fd < 0 && ends[2 * i + 1].fd < 0) {
                if (waitpid(jobs[i].pid, NULL, 0) < 0) fail("waitpid");
                jobs[i].pid = 0;
                ended++;
            }
            if (!jobs[i].pid && started < runs) {
                start(&jobs[i], &ends[2 * i], argv + 3, null);
                started++;
            }
        }
        if (ended == runs) break;
        if (poll(ends, 2 * at_once, -1) < 0) fail("poll");
        for (int i = 0; i < 2 * at_once; i++) take(&ends[i]);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    getrusage(RUSAGE_SELF, &used);
    /* not ru_maxrss: Linux counts there the process that started us, too */
    long peak = 0;
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) sscanf(line, "VmHWM: %ld", &peak);
    printf("%f %f %f %ld\n",
           end.tv_sec - begin.tv_sec + (end.tv_nsec - begin.tv_nsec) / 1e9,
           used.ru_utime.tv_sec + used.ru_utime.tv_usec / 1e6,
           used.ru_stime.tv_sec + used.ru_stime.tv_usec / 1e6, peak);
    return 0;
}
