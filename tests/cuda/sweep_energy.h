/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep_energy.h: what the GPU draws while sweep_matmul.c repeats one product: the board's own counter of energy, the clock
 * of its multiprocessors and what holds it back, all read through NVML, which is opened at run time. Reads only; included
 * by sweep_matmul.c alone; knows nothing of products.
 */
#ifndef SWEEP_ENERGY_H
#define SWEEP_ENERGY_H

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

typedef struct energy_meter {
    void *device;
    int (*energy)(void *device, unsigned long long *millijoules);
    int (*clock)(void *device, int which, unsigned *megahertz);
    int (*reasons)(void *device, unsigned long long *bits);
    int (*temperature)(void *device, int sensor, unsigned *celsius);
} energy_meter;

static inline bool energy_find(void *library, const char *name, void *slot)
{
    void *const symbol = dlsym(library, name);
    memcpy(slot, &symbol, sizeof symbol);
    return symbol != NULL;
}

/* The first GPU. The library stays open. */
static inline bool energy_open(energy_meter *self)
{
    int (*init)(void), (*handle)(unsigned index, void **device);
    void *const library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    return library != NULL && energy_find(library, "nvmlInit_v2", &init) &&
           energy_find(library, "nvmlDeviceGetHandleByIndex_v2", &handle) &&
           energy_find(library, "nvmlDeviceGetTotalEnergyConsumption", &self->energy) &&
           energy_find(library, "nvmlDeviceGetClockInfo", &self->clock) &&
           energy_find(library, "nvmlDeviceGetCurrentClocksThrottleReasons", &self->reasons) &&
           energy_find(library, "nvmlDeviceGetTemperature", &self->temperature) && init() == 0 &&
           handle(0, &self->device) == 0;
}

#endif /* SWEEP_ENERGY_H */
