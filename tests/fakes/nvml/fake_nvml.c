/* A driver's library that plays devices of known power: enough of NVML for nvidia-ml-py.
 *
 * The devices stand in the file that $FAKE_NVML_CONFIG names, one word and its values a line (fake_nvml.py writes it);
 * the file is read anew when it changes. Time is CLOCK_MONOTONIC less the file's start_s, or what fakeNvmlSetTime says.
 * Energies are exact integrals of the configured power, so that a test knows the truth to the last joule.
 */
#define _GNU_SOURCE
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
    SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15
};
enum { MAX_DEVICES = 16, MAX_PROCESSES = 64, MAX_SLICES = 8, TEXT = 96 };

typedef int ret_t;

typedef struct {
    int pid, sm_pct, visible, util_pid, mps;
    double from_s, until_s;
} process_t;

typedef struct {
    char uuid[TEXT];
    int gpu_instance, compute_instance, gpu_slices, compute_slices;
} slice_t;

typedef struct device {
    char name[TEXT], uuid[TEXT];
    int index, minor, architecture, cores, clock_megahertz;
    double high_w, low_w, period_s, high_share;     /* power: a square wave, or constant where high_share is 1 */
    double limit_w, window_s, granularity_s, counter_offset_j;
    int has_counter, has_instant, has_usage, has_processes, has_process_utilization, has_utilization, forbidden;
    int counter_stuck, counter_error, mig_mode, max_slices, utilization_pct, samples_kept;
    double lost_from_s, lost_until_s, counter_reset_s, sample_period_s;
    int process_count, slice_count;
    process_t processes[MAX_PROCESSES];
    slice_t slices[MAX_SLICES];
} device_t;

typedef struct { device_t *parent; int slice; } handle_t;   /* slice -1: the device itself */

static device_t devices[MAX_DEVICES];
static handle_t handles[MAX_DEVICES][MAX_SLICES + 1];
static int device_count, init_error, is_initialized, all_error;
static double start_s, uninitialized_from_s = INFINITY, set_time_s = -1.0, initialized_at_s;
static char driver_version[TEXT];
static struct timespec seen_mtime;
static off_t seen_size = -1;
static ino_t seen_inode;

void fakeNvmlSetTime(double seconds) { set_time_s = seconds; }

static double monotonic_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double now_s(void) { return set_time_s >= 0 ? set_time_s : monotonic_s() - start_s; }

static void clear_device(device_t *d, int index)
{
    memset(d, 0, sizeof *d);
    d->index = d->minor = index;
    d->architecture = 9;
    d->cores = 16896;
    d->clock_megahertz = 1980;
    snprintf(d->name, TEXT, "NVIDIA H100 80GB HBM3");
    snprintf(d->uuid, TEXT, "GPU-%08d-0000-4000-8000-000000000000", index);
    d->high_share = 1.0;
    d->period_s = 1.0;
    d->limit_w = 700.0;
    d->granularity_s = 0.1;
    d->has_counter = d->has_instant = d->has_usage = d->has_processes = d->has_process_utilization = 1;
    d->has_utilization = 1;
    d->utilization_pct = 100;
    d->max_slices = 7;
    d->samples_kept = 1;
    d->sample_period_s = 0.2;
    d->lost_from_s = d->lost_until_s = d->counter_reset_s = INFINITY;
}

static void read_line(char *line, device_t **current)
{
    char key[48], text[TEXT];
    int used = 0;
    double value = 0;
    if (sscanf(line, " %47s %n", key, &used) != 1 || key[0] == '#')
        return;
    char *rest = line + used;
    rest[strcspn(rest, "\n")] = 0;
    value = atof(rest);
    device_t *d = *current;
    if (!strcmp(key, "device")) {
        if (device_count < MAX_DEVICES) {
            *current = &devices[device_count];
            clear_device(*current, device_count++);
        }
        return;
    }
    if (!strcmp(key, "init_error")) init_error = (int)value;
    else if (!strcmp(key, "all_error")) all_error = (int)value;
    else if (!strcmp(key, "start_s")) start_s = value;
    else if (!strcmp(key, "uninitialized_from_s")) uninitialized_from_s = value;
    else if (!strcmp(key, "driver_version")) snprintf(driver_version, TEXT, "%.90s", rest);
    if (!d) return;
    if (!strcmp(key, "name")) snprintf(d->name, TEXT, "%.90s", rest);
    else if (!strcmp(key, "uuid")) snprintf(d->uuid, TEXT, "%.90s", rest);
    else if (!strcmp(key, "minor")) d->minor = (int)value;
    else if (!strcmp(key, "architecture")) d->architecture = (int)value;
    else if (!strcmp(key, "cores")) d->cores = (int)value;
    else if (!strcmp(key, "clock_megahertz")) d->clock_megahertz = (int)value;
    else if (!strcmp(key, "power_w"))
        sscanf(rest, "%lf %lf %lf %lf", &d->high_w, &d->low_w, &d->period_s, &d->high_share);
    else if (!strcmp(key, "limit_w")) d->limit_w = value;
    else if (!strcmp(key, "window_s")) d->window_s = value;
    else if (!strcmp(key, "granularity_s")) d->granularity_s = value;
    else if (!strcmp(key, "counter_offset_j")) d->counter_offset_j = value;
    else if (!strcmp(key, "has_counter")) d->has_counter = (int)value;
    else if (!strcmp(key, "has_instant")) d->has_instant = (int)value;
    else if (!strcmp(key, "has_usage")) d->has_usage = (int)value;
    else if (!strcmp(key, "has_processes")) d->has_processes = (int)value;
    else if (!strcmp(key, "has_process_utilization")) d->has_process_utilization = (int)value;
    else if (!strcmp(key, "has_utilization")) d->has_utilization = (int)value;
    else if (!strcmp(key, "forbidden")) d->forbidden = (int)value;
    else if (!strcmp(key, "counter_stuck")) d->counter_stuck = (int)value;
    else if (!strcmp(key, "counter_error")) d->counter_error = (int)value;
    else if (!strcmp(key, "counter_reset_s")) d->counter_reset_s = value;
    else if (!strcmp(key, "utilization_pct")) d->utilization_pct = (int)value;
    else if (!strcmp(key, "samples_kept")) d->samples_kept = (int)value;
    else if (!strcmp(key, "sample_period_s")) d->sample_period_s = value;
    else if (!strcmp(key, "lost_from_s")) d->lost_from_s = value;
    else if (!strcmp(key, "lost_until_s")) d->lost_until_s = value;
    else if (!strcmp(key, "mig_mode")) d->mig_mode = (int)value;
    else if (!strcmp(key, "max_slices")) d->max_slices = (int)value;
    else if (!strcmp(key, "process") && d->process_count < MAX_PROCESSES) {
        process_t *p = &d->processes[d->process_count++];
        *p = (process_t){.visible = 1, .until_s = INFINITY};
        sscanf(rest, "%d %d %d %d %d %lf %lf", &p->pid, &p->util_pid, &p->sm_pct, &p->visible, &p->mps, &p->from_s,
               &p->until_s);
    } else if (!strcmp(key, "slice") && d->slice_count < MAX_SLICES) {
        slice_t *s = &d->slices[d->slice_count++];
        sscanf(rest, "%95s %d %d %d %d", text, &s->gpu_instance, &s->compute_instance, &s->gpu_slices,
               &s->compute_slices);
        snprintf(s->uuid, TEXT, "%.90s", text);
    }
}

static void refresh(void)
{
    const char *path = getenv("FAKE_NVML_CONFIG");
    struct stat st;
    if (!path || stat(path, &st) != 0) {    /* once loaded it stays in its process: without a file it is no driver */
        device_count = 0;
        init_error = all_error = DRIVER_NOT_LOADED;
        seen_size = -1;
        return;
    }
    if (st.st_size == seen_size && st.st_ino == seen_inode && st.st_mtim.tv_sec == seen_mtime.tv_sec
        && st.st_mtim.tv_nsec == seen_mtime.tv_nsec)
        return;
    FILE *file = fopen(path, "r");
    if (!file)
        return;
    char line[512];
    device_t *current = NULL;
    device_count = init_error = all_error = 0;
    uninitialized_from_s = INFINITY;
    snprintf(driver_version, TEXT, "560.35.03");
    while (fgets(line, sizeof line, file))
        read_line(line, &current);
    fclose(file);
    seen_mtime = st.st_mtim;
    seen_size = st.st_size;
    seen_inode = st.st_ino;
    for (int i = 0; i < MAX_DEVICES; i++)
        for (int s = 0; s <= MAX_SLICES; s++)
            handles[i][s] = (handle_t){&devices[i], s - 1};
}

/* Energy from time 0 to t of the square wave that begins high; before 0 it stood at its low power. */
static double energy_j(const device_t *d, double t)
{
    if (d->high_share >= 1.0)
        return d->high_w * t;
    if (t < 0)
        return d->low_w * t;
    double periods = floor(t / d->period_s), rest_s = t - periods * d->period_s;
    double high_s = d->high_share * d->period_s, in_high_s = fmin(rest_s, high_s);
    return periods * (d->high_w * high_s + d->low_w * (d->period_s - high_s)) + d->high_w * in_high_s
           + d->low_w * (rest_s - in_high_s);
}

static double power_w(const device_t *d, double t)
{
    if (d->high_share >= 1.0)
        return d->high_w;
    return t >= 0 && fmod(t, d->period_s) < d->high_share * d->period_s ? d->high_w : d->low_w;
}

static ret_t check(handle_t *handle)
{
    refresh();
    if (!is_initialized)
        return UNINITIALIZED;
    if (initialized_at_s < uninitialized_from_s && now_s() >= uninitialized_from_s)
        return UNINITIALIZED;               /* the driver was reloaded: only a new init helps */
    if (all_error)
        return all_error;
    if (!handle)
        return SUCCESS;
    device_t *d = handle->parent;
    if (d->index >= device_count)
        return INVALID_ARGUMENT;
    double t = now_s();
    return t >= d->lost_from_s && !(t >= d->lost_until_s) ? GPU_IS_LOST : SUCCESS;
}

#define CHECK(handle) do { ret_t code = check(handle); if (code != SUCCESS) return code; } while (0)
#define DEVICE_ONLY(handle) do { if ((handle)->slice >= 0) return NOT_SUPPORTED; } while (0)

ret_t nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    refresh();
    if (init_error)
        return init_error;
    is_initialized = 1;
    initialized_at_s = now_s();
    return SUCCESS;
}
ret_t nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
ret_t nvmlInit(void) { return nvmlInitWithFlags(0); }
ret_t nvmlShutdown(void) { ret_t was = is_initialized ? SUCCESS : UNINITIALIZED; is_initialized = 0; return was; }

const char *nvmlErrorString(ret_t code)
{
    switch (code) {
    case NOT_SUPPORTED: return "Not Supported";
    case GPU_IS_LOST: return "GPU is lost";
    default: return "Fake error";
    }
}

ret_t nvmlSystemGetDriverVersion(char *text, unsigned size)
{
    CHECK(NULL);
    snprintf(text, size, "%s", driver_version);
    return SUCCESS;
}
ret_t nvmlSystemGetNVMLVersion(char *text, unsigned size)
{
    CHECK(NULL);
    snprintf(text, size, "12.%s", driver_version);
    return SUCCESS;
}
ret_t nvmlSystemGetCudaDriverVersion(int *version) { CHECK(NULL); *version = 12060; return SUCCESS; }
ret_t nvmlSystemGetCudaDriverVersion_v2(int *version) { return nvmlSystemGetCudaDriverVersion(version); }

ret_t nvmlDeviceGetCount_v2(unsigned *count) { CHECK(NULL); *count = (unsigned)device_count; return SUCCESS; }
ret_t nvmlDeviceGetCount(unsigned *count) { return nvmlDeviceGetCount_v2(count); }

ret_t nvmlDeviceGetHandleByIndex_v2(unsigned index, handle_t **handle)
{
    CHECK(NULL);
    if ((int)index >= device_count)
        return INVALID_ARGUMENT;
    if (devices[index].forbidden)
        return NO_PERMISSION;
    *handle = &handles[index][0];
    return check(*handle);
}
ret_t nvmlDeviceGetHandleByIndex(unsigned index, handle_t **handle)
{
    return nvmlDeviceGetHandleByIndex_v2(index, handle);
}

ret_t nvmlDeviceGetHandleByUUID(const char *uuid, handle_t **handle)
{
    CHECK(NULL);
    for (int i = 0; i < device_count; i++) {
        if (devices[i].forbidden)
            continue;
        for (int s = -1; s < devices[i].slice_count; s++)
            if (!strcmp(uuid, s < 0 ? devices[i].uuid : devices[i].slices[s].uuid)) {
                *handle = &handles[i][s + 1];
                return check(*handle);
            }
    }
    return NOT_FOUND;
}

ret_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus, handle_t **handle)
{
    unsigned domain = 0, number = 0;
    if (sscanf(bus, "%x:%x", &domain, &number) != 2 || number < 1)
        return NOT_FOUND;
    return nvmlDeviceGetHandleByIndex_v2(number - 1, handle);
}

ret_t nvmlDeviceGetIndex(handle_t *h, unsigned *index) { CHECK(h); *index = (unsigned)h->parent->index; return SUCCESS; }
ret_t nvmlDeviceGetMinorNumber(handle_t *h, unsigned *minor)
{
    CHECK(h);
    DEVICE_ONLY(h);
    *minor = (unsigned)h->parent->minor;
    return SUCCESS;
}
ret_t nvmlDeviceGetName(handle_t *h, char *text, unsigned size)
{
    CHECK(h);
    snprintf(text, size, "%s", h->parent->name);
    return SUCCESS;
}
ret_t nvmlDeviceGetUUID(handle_t *h, char *text, unsigned size)
{
    CHECK(h);
    snprintf(text, size, "%s", h->slice < 0 ? h->parent->uuid : h->parent->slices[h->slice].uuid);
    return SUCCESS;
}
ret_t nvmlDeviceGetArchitecture(handle_t *h, unsigned *a) { CHECK(h); *a = (unsigned)h->parent->architecture; return SUCCESS; }
ret_t nvmlDeviceGetNumGpuCores(handle_t *h, unsigned *n) { CHECK(h); *n = (unsigned)h->parent->cores; return SUCCESS; }
ret_t nvmlDeviceGetCudaComputeCapability(handle_t *h, int *major, int *minor)
{
    CHECK(h);
    *major = h->parent->architecture;
    *minor = 0;
    return SUCCESS;
}
ret_t nvmlDeviceGetMaxClockInfo(handle_t *h, unsigned kind, unsigned *megahertz)
{
    (void)kind;
    CHECK(h);
    *megahertz = (unsigned)h->parent->clock_megahertz;
    return SUCCESS;
}

typedef struct {
    char bus_id_legacy[16];
    unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
} pci_info_t;
ret_t nvmlDeviceGetPciInfo_v3(handle_t *h, pci_info_t *info)
{
    CHECK(h);
    memset(info, 0, sizeof *info);
    info->bus = (unsigned)h->parent->index + 1;
    snprintf(info->bus_id_legacy, sizeof info->bus_id_legacy, "0000:%02X:00.0", info->bus & 0xffu);
    snprintf(info->bus_id, sizeof info->bus_id, "00000000:%02X:00.0", info->bus & 0xffu);
    return SUCCESS;
}

/* Energy and power */

static uint64_t counter_millijoule(const device_t *d, double t)
{
    double at_s = d->counter_stuck ? 0.0 : t;
    if (d->granularity_s > 0)
        at_s = floor(at_s / d->granularity_s) * d->granularity_s;
    double base_j = t >= d->counter_reset_s ? -energy_j(d, d->counter_reset_s) : d->counter_offset_j + 1e6;
    double joules = base_j + energy_j(d, at_s);
    return (uint64_t)(1e3 * fmax(joules, 0.0));
}

ret_t nvmlDeviceGetTotalEnergyConsumption(handle_t *h, unsigned long long *millijoule)
{
    CHECK(h);
    DEVICE_ONLY(h);
    if (!h->parent->has_counter)
        return h->parent->counter_error ? h->parent->counter_error : NOT_SUPPORTED;
    *millijoule = counter_millijoule(h->parent, now_s());
    return SUCCESS;
}

static unsigned power_milliwatt(const device_t *d, double window_s)
{
    double t = now_s();
    double watts = window_s > 0 ? (energy_j(d, t) - energy_j(d, t - window_s)) / window_s : power_w(d, t);
    return (unsigned)(1e3 * watts + 0.5);
}

ret_t nvmlDeviceGetPowerUsage(handle_t *h, unsigned *milliwatt)
{
    CHECK(h);
    DEVICE_ONLY(h);
    if (!h->parent->has_usage)
        return NOT_SUPPORTED;
    *milliwatt = power_milliwatt(h->parent, h->parent->window_s);
    return SUCCESS;
}

static ret_t limit(handle_t *h, unsigned *milliwatt)
{
    CHECK(h);
    DEVICE_ONLY(h);
    if (h->parent->limit_w <= 0)
        return NOT_SUPPORTED;
    *milliwatt = (unsigned)(1e3 * h->parent->limit_w);
    return SUCCESS;
}
ret_t nvmlDeviceGetEnforcedPowerLimit(handle_t *h, unsigned *milliwatt) { return limit(h, milliwatt); }
ret_t nvmlDeviceGetPowerManagementLimit(handle_t *h, unsigned *milliwatt) { return limit(h, milliwatt); }
ret_t nvmlDeviceGetPowerManagementDefaultLimit(handle_t *h, unsigned *milliwatt) { return limit(h, milliwatt); }
ret_t nvmlDeviceGetPowerManagementLimitConstraints(handle_t *h, unsigned *low, unsigned *high)
{
    ret_t code = limit(h, high);
    if (code == SUCCESS)
        *low = *high / 2;
    return code;
}

typedef union { double d; unsigned ui; unsigned long ul; unsigned long long ull; long long sll; } value_t;
typedef struct {
    unsigned field, scope;
    long long timestamp_us, latency_us;
    int kind;
    ret_t code;
    value_t value;
} field_t;

ret_t nvmlDeviceGetFieldValues(handle_t *h, int count, field_t *fields)
{
    CHECK(h);
    for (int i = 0; i < count; i++) {
        field_t *f = &fields[i];
        device_t *d = h->parent;
        f->timestamp_us = (long long)(1e6 * now_s());
        f->code = NOT_SUPPORTED;
        if (h->slice >= 0)
            continue;
        if (f->field == 83 && d->has_counter) {
            f->code = SUCCESS;
            f->kind = 3;
            f->value.ull = counter_millijoule(d, now_s());
        } else if ((f->field == 185 || f->field == 186) && d->has_instant) {
            f->code = SUCCESS;
            f->kind = 1;
            f->value.ui = power_milliwatt(d, f->field == 185 ? 1.0 : 0.0);
        }
    }
    return SUCCESS;
}

/* Who uses a device */

static int is_there(const process_t *p, double t) { return t >= p->from_s && t < p->until_s; }

typedef struct { unsigned gpu, memory; } utilization_t;
ret_t nvmlDeviceGetUtilizationRates(handle_t *h, utilization_t *u)
{
    CHECK(h);
    if (!h->parent->has_utilization || h->slice >= 0 || h->parent->mig_mode)
        return NOT_SUPPORTED;
    int sum = 0;
    double t = now_s();
    for (int i = 0; i < h->parent->process_count; i++)
        if (is_there(&h->parent->processes[i], t))
            sum += h->parent->processes[i].sm_pct;
    u->gpu = (unsigned)(h->parent->process_count ? (sum > 100 ? 100 : sum) : h->parent->utilization_pct);
    u->memory = u->gpu / 2;
    return SUCCESS;
}

typedef struct { unsigned pid; unsigned long long used_memory; unsigned gpu_instance, compute_instance; } process_info_t;
static ret_t list(handle_t *h, unsigned *count, process_info_t *infos, int is_mps)
{
    CHECK(h);
    if (!h->parent->has_processes)
        return NOT_SUPPORTED;
    unsigned found = 0;
    double t = now_s();
    for (int i = 0; i < h->parent->process_count; i++) {
        const process_t *p = &h->parent->processes[i];
        if (!p->visible || p->mps != is_mps || !is_there(p, t))
            continue;
        if (infos && found < *count)
            infos[found] = (process_info_t){(unsigned)p->pid, 1ull << 30, 0xffffffffu, 0xffffffffu};
        found++;
    }
    ret_t code = found > *count || (!infos && found) ? INSUFFICIENT_SIZE : SUCCESS;
    *count = found;
    return code;
}
ret_t nvmlDeviceGetComputeRunningProcesses_v3(handle_t *h, unsigned *n, process_info_t *i) { return list(h, n, i, 0); }
ret_t nvmlDeviceGetComputeRunningProcesses_v2(handle_t *h, unsigned *n, process_info_t *i) { return list(h, n, i, 0); }
ret_t nvmlDeviceGetMPSComputeRunningProcesses_v3(handle_t *h, unsigned *n, process_info_t *i) { return list(h, n, i, 1); }
ret_t nvmlDeviceGetGraphicsRunningProcesses_v3(handle_t *h, unsigned *n, process_info_t *i)
{
    (void)i;
    CHECK(h);
    *n = 0;
    return SUCCESS;
}

typedef struct { unsigned pid; unsigned long long timestamp_us; unsigned sm, memory, encoder, decoder; } sample_t;
ret_t nvmlDeviceGetProcessUtilization(handle_t *h, sample_t *samples, unsigned *count, unsigned long long since_us)
{
    CHECK(h);
    device_t *d = h->parent;
    if (!d->has_process_utilization || d->mig_mode || h->slice >= 0)
        return NOT_SUPPORTED;
    unsigned found = 0;
    long last = (long)floor(now_s() / d->sample_period_s);
    for (long k = last - d->samples_kept + 1; k <= last; k++) {
        double t = (double)k * d->sample_period_s;
        unsigned long long stamp_us = (unsigned long long)(1e6 * t) + 1700000000000000ull;
        if (k < 0 || stamp_us <= since_us)
            continue;
        for (int i = 0; i < d->process_count; i++) {
            const process_t *p = &d->processes[i];
            if (p->sm_pct == 0 || !is_there(p, t))
                continue;
            if (samples && found < *count)
                samples[found] = (sample_t){(unsigned)p->util_pid, stamp_us, (unsigned)p->sm_pct, 0, 0, 0};
            found++;
        }
    }
    if (!found)
        return NOT_FOUND;
    ret_t code = !samples || found > *count ? INSUFFICIENT_SIZE : SUCCESS;
    *count = found;
    return code;
}

typedef struct { unsigned long long total, free, used; } memory_t;
ret_t nvmlDeviceGetMemoryInfo(handle_t *h, memory_t *m)
{
    CHECK(h);
    *m = (memory_t){80ull << 30, 79ull << 30, 1ull << 30};
    return SUCCESS;
}

/* Slices (MIG) */

ret_t nvmlDeviceGetMigMode(handle_t *h, unsigned *current, unsigned *pending)
{
    CHECK(h);
    DEVICE_ONLY(h);
    *current = *pending = (unsigned)h->parent->mig_mode;
    return SUCCESS;
}
ret_t nvmlDeviceGetMaxMigDeviceCount(handle_t *h, unsigned *count)
{
    CHECK(h);
    *count = (unsigned)h->parent->max_slices;
    return SUCCESS;
}
ret_t nvmlDeviceGetMigDeviceHandleByIndex(handle_t *h, unsigned index, handle_t **slice)
{
    CHECK(h);
    if (!h->parent->mig_mode)
        return NOT_SUPPORTED;
    if ((int)index >= h->parent->slice_count)
        return NOT_FOUND;
    *slice = &handles[h->parent->index][index + 1];
    return SUCCESS;
}
ret_t nvmlDeviceIsMigDeviceHandle(handle_t *h, unsigned *is) { CHECK(h); *is = h->slice >= 0; return SUCCESS; }
ret_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle_t *h, handle_t **parent)
{
    CHECK(h);
    if (h->slice < 0)
        return INVALID_ARGUMENT;
    *parent = &handles[h->parent->index][0];
    return SUCCESS;
}
ret_t nvmlDeviceGetGpuInstanceId(handle_t *h, unsigned *id)
{
    CHECK(h);
    if (h->slice < 0)
        return NOT_SUPPORTED;
    *id = (unsigned)h->parent->slices[h->slice].gpu_instance;
    return SUCCESS;
}
ret_t nvmlDeviceGetComputeInstanceId(handle_t *h, unsigned *id)
{
    CHECK(h);
    if (h->slice < 0)
        return NOT_SUPPORTED;
    *id = (unsigned)h->parent->slices[h->slice].compute_instance;
    return SUCCESS;
}
typedef struct {
    unsigned multiprocessors, copy_engines, decoders, encoders, jpeg, ofa, gpu_slices, compute_slices;
    unsigned long long memory_megabyte;
} attributes_t;
ret_t nvmlDeviceGetAttributes_v2(handle_t *h, attributes_t *a)
{
    CHECK(h);
    if (h->slice < 0)
        return NOT_SUPPORTED;
    const slice_t *s = &h->parent->slices[h->slice];
    memset(a, 0, sizeof *a);
    a->gpu_slices = (unsigned)s->gpu_slices;
    a->compute_slices = (unsigned)s->compute_slices;
    return SUCCESS;
}
