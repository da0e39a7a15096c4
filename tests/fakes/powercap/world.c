/* Counters that follow a known power, and a command that says when it ran.
 *
 *   world serve CONFIG READY   one line of CONFIG a counter: PATH RANGE_UJ START_UJ VANISH_S COUNT then COUNT times
 *                              SECONDS WATTS: the power, over and over. Writes its first instant (ns of CLOCK_MONOTONIC)
 *                              to READY and rewrites every counter 200 times a second, with a fixed width.
 *   world sleep SECONDS LOG    sleeps, and writes its first and last instant to LOG.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_NS 5000000L
#define WIDTH 20

struct counter {
    char path[512];
    double range_uj, start_uj, vanish_s, cycle_s, cycle_j;
    int count, fd;
    double *step_s, *step_w;
};

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static double energy_j(const struct counter *counter, double elapsed_s) {
    double cycles = floor(elapsed_s / counter->cycle_s);
    double rest_s = elapsed_s - cycles * counter->cycle_s, sum_j = cycles * counter->cycle_j;
    for (int step = 0; step < counter->count && rest_s > 0; step++) {
        double part_s = fmin(rest_s, counter->step_s[step]);
        sum_j += part_s * counter->step_w[step];
        rest_s -= part_s;
    }
    return sum_j;
}

static int update(struct counter *counter, double elapsed_s) {
    if (counter->fd < 0) return 0;
    if (counter->vanish_s > 0 && elapsed_s >= counter->vanish_s) {
        unlink(counter->path);
        close(counter->fd);
        counter->fd = -1;
        return 0;
    }
    char text[WIDTH + 2];
    double reading_uj = fmod(counter->start_uj + 1e6 * energy_j(counter, elapsed_s), counter->range_uj);
    snprintf(text, sizeof text, "%0*llu\n", WIDTH, (unsigned long long)reading_uj);
    return pwrite(counter->fd, text, WIDTH + 1, 0) == WIDTH + 1 ? 0 : -1;
}

static struct counter *load(const char *config, int *count) {
    FILE *file = fopen(config, "r");
    struct counter *counters = NULL, one;
    *count = 0;
    while (file && fscanf(file, "%511s %lf %lf %lf %d", one.path, &one.range_uj, &one.start_uj, &one.vanish_s,
                          &one.count) == 5) {
        one.step_s = calloc(one.count, sizeof(double));
        one.step_w = calloc(one.count, sizeof(double));
        one.cycle_s = one.cycle_j = 0;
        for (int step = 0; step < one.count; step++) {
            if (fscanf(file, "%lf %lf", &one.step_s[step], &one.step_w[step]) != 2) exit(2);
            one.cycle_s += one.step_s[step];
            one.cycle_j += one.step_s[step] * one.step_w[step];
        }
        one.fd = open(one.path, O_WRONLY);
        if (one.fd < 0) exit(3);
        counters = realloc(counters, (*count + 1) * sizeof one);
        counters[(*count)++] = one;
    }
    if (!file || !*count) exit(4);
    fclose(file);
    return counters;
}

static void serve(const char *config, const char *ready) {
    int count;
    struct counter *counters = load(config, &count);
    struct sched_param first = {.sched_priority = 10};
    if (sched_setscheduler(0, SCHED_FIFO, &first)) nice(-10); /* a busy machine must not make the counters lag */
    long long began_ns = now_ns(), next_ns = began_ns;
    FILE *file = fopen(ready, "w");
    if (!file) exit(5);
    fprintf(file, "%lld\n", began_ns);
    fclose(file);
    for (;;) {
        double elapsed_s = (now_ns() - began_ns) * 1e-9;
        for (int at = 0; at < count; at++)
            if (update(&counters[at], elapsed_s)) exit(6);
        next_ns += PERIOD_NS;
        struct timespec next = {next_ns / 1000000000LL, next_ns % 1000000000LL};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
}

static void sleep_and_tell(const char *seconds, const char *log) {
    long long first_ns = now_ns(), last_ns = first_ns + (long long)(1e9 * atof(seconds));
    struct timespec until = {last_ns / 1000000000LL, last_ns % 1000000000LL};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL)) continue;
    FILE *file = fopen(log, "w");
    if (!file) exit(5);
    fprintf(file, "%lld %lld\n", first_ns, now_ns());
    fclose(file);
}

int main(int argc, char **argv) {
    if (argc == 4 && !strcmp(argv[1], "serve")) serve(argv[2], argv[3]);
    if (argc == 4 && !strcmp(argv[1], "sleep")) return sleep_and_tell(argv[2], argv[3]), 0;
    return 2;
}
