/* CPU time of a server: the nanoseconds that the scheduler booked on every thread of a list of processes. */
#ifndef SCHEDSTAT_H
#define SCHEDSTAT_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_PIDS 128

struct server { int pid[MAX_PIDS], count; };

static double seconds_of(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double now(void) { return seconds_of(CLOCK_MONOTONIC); }

static double own_cpu(void) { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

/* "12,34,56" into a list of processes */
static void server_parse(struct server *server, const char *text) {
    for (const char *p = text; *p && server->count < MAX_PIDS; p = strchr(p, ',') ? strchr(p, ',') + 1 : "")
        server->pid[server->count++] = atoi(p);
}

static double server_cpu(const struct server *server) {
    double total = 0;
    for (int i = 0; i < server->count; i++) {
        char folder[64], path[384];
        snprintf(folder, sizeof folder, "/proc/%d/task", server->pid[i]);
        DIR *tasks = opendir(folder);
        if (!tasks) continue;
        for (struct dirent *task; (task = readdir(tasks));) {
            if (task->d_name[0] == '.') continue;
            snprintf(path, sizeof path, "%s/%s/schedstat", folder, task->d_name);
            FILE *file = fopen(path, "r");
            unsigned long long ns;
            if (file && fscanf(file, "%llu", &ns) == 1) total += ns * 1e-9;
            if (file) fclose(file);
        }
        closedir(tasks);
    }
    return total;
}

#endif
