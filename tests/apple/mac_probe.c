/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mac_probe.c: what a Mac's report needs beside `anymps verify` and `anymps bench`: which of the defects in errata.def
 * this machine shows when MPS is asked directly, and (mac_times.c) how long MPS takes called directly, through the
 * library, and against our own kernels. Run by tools/mac-report on a Mac and by a test through the stand-in.
 *
 *     mac_probe [--large] [--repeat N] [--largest N]      one JSON object on the standard output
 *
 * Uses the backend's senders to speak to MPS without the errata guard. --large asks for products of several GB,
 * --largest is the side of the largest square product that is timed (2048).
 */
#include "mac_direct.h"

#include <anymps/anymps.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Elements of the result that are not `exact` within 1e-3 relative. */
static size_t wrong_elements(const mac_direct *self, double exact)
{
    const float *const c = amps_send_contents(self->buffers[2]);
    size_t wrong = 0;
    for (size_t i = 0; i < self->m * self->n * self->batch; i++) {
        wrong += fabs((double)c[i] - exact) <= 1e-3 * fabs(exact) ? 0u : 1u;
    }
    return wrong;
}

static void probe_product(const char *line, size_t m, size_t n, size_t k, size_t batch)
{
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    mac_direct self;
    printf("    {\"line\": \"%s\", \"shape\": [%zu, %zu, %zu, %zu], ", line, m, n, k, batch);
    if (!mac_direct_open(&self, m, n, k, batch)) {
        printf("\"shown\": null, \"why\": \"no memory\"},\n");
    } else {
        mac_direct_fill(&self, 0.5f, 0.25f);
        const double us = mac_direct_run(&self);
        const size_t wrong = us < 0.0 ? m * n * batch : wrong_elements(&self, 0.125 * (double)k);
        printf("\"shown\": %s, \"wrong\": %zu, \"of\": %zu},\n", wrong != 0 ? "true" : "false", wrong, m * n * batch);
        mac_direct_close(&self);
    }
    amps_apple.objc_autoreleasePoolPop(pool);
}

/* The largest error of MPS's GELU over [-6, 6]. */
static void probe_gelu(void)
{
    enum { COUNT = 4096 };
    void *const pool = amps_apple.objc_autoreleasePoolPush();
    const amps_id buffers[2] = {amps_send_new_buffer(mac_device, COUNT * 4, MTLResourceStorageModeShared),
                                amps_send_new_buffer(mac_device, COUNT * 4, MTLResourceStorageModeShared)};
    float *const x = amps_send_contents(buffers[0]);
    const float *const y = amps_send_contents(buffers[1]);
    for (size_t i = 0; i < COUNT; i++) {
        x[i] = (float)i * (12.0f / (float)COUNT) - 6.0f;
    }
    const amps_id in = mac_new_matrix(buffers[0], 1, COUNT, 1), out = mac_new_matrix(buffers[1], 1, COUNT, 1);
    const amps_id kernel = amps_send_neuron_init(amps_send_alloc(amps_class_named("MPSMatrixNeuron")), mac_device);
    amps_send_neuron_set_type(kernel, MPSCNNNeuronTypeGeLU, 0.0f, 0.0f, 0.0f);
    amps_send_neuron_set_rows(kernel, 1);
    amps_send_neuron_set_columns(kernel, COUNT);
    const amps_id commands = amps_send_command_buffer(mac_queue);
    amps_send_neuron_encode(kernel, commands, in, NULL, out);
    amps_send_commit(commands);
    amps_send_wait_completed(commands);
    double worst = 0.0;
    for (size_t i = 0; i < COUNT; i++) {
        const double exact = (double)x[i] * 0.5 * erfc(-(double)x[i] / sqrt(2.0));
        worst = fmax(worst, fabs((double)y[i] - exact));
    }
    printf("    {\"line\": \"gelu_accuracy\", \"shown\": %s, \"worst\": %.3g}\n", worst > 2e-6 ? "true" : "false",
           worst);
    const amps_id all[] = {kernel, in, out, buffers[0], buffers[1]};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        amps_drop(all[i]);
    }
    amps_apple.objc_autoreleasePoolPop(pool);
}

static void probe_errata(bool large)
{
    printf("  \"errata\": [\n");
    probe_product("interior_32767", 16, 16, 32768, 1);
    probe_product("dimension_32768", 40000, 8, 8, 1);
    probe_product("dimension_32768", 8, 40000, 8, 1);
    probe_product("batch_65536", 4, 4, 4, 65600);
    if (large) {
        probe_product("product_31_bits", 13600, 13600, 13600, 1);
        probe_product("operand_31_bits", 1 << 20, 16, 2048, 1);
    }
    probe_gelu();
    printf("  ],\n");
}

/* ---- Report ----------------------------------------------------------------------------------- */

static void keep_log(void *context, anymps_log_level level, const char *message)
{
    (void)context;
    (void)level;
    fprintf(stderr, "log: %s\n", message);
}

int main(int count, char **words)
{
    bool large = false;
    size_t repeat = 31, largest = 2048;
    for (int i = 1; i < count; i++) {
        large = large || strcmp(words[i], "--large") == 0;
        if (i + 1 < count && strcmp(words[i], "--repeat") == 0) {
            repeat = (size_t)strtoul(words[i + 1], NULL, 10);
        }
        if (i + 1 < count && strcmp(words[i], "--largest") == 0) {
            largest = (size_t)strtoul(words[i + 1], NULL, 10);
        }
    }
    (void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* what was learnt stays if MPS ends the process */
    anymps_set_log(keep_log, NULL);
    anymps_device_desc desc = ANYMPS_DEVICE_DESC_INIT;
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    desc.id = "metal";
    anymps_device *opened = NULL;
    if (anymps_device_open(&desc, &opened) != ANYMPS_OK ||
        anymps_device_get_properties(opened, &properties) != ANYMPS_OK) {
        printf("{\"device\": null, \"why\": \"%s\"}\n", anymps_last_error()->message);
        return 1;
    }
    mac_device = (amps_id)anymps_device_native(opened);
    mac_queue = amps_send_new_queue(mac_device, 16);
    printf("{\n  \"device\": \"%s\", \"architecture\": \"%s\", \"unified\": %s, \"encodings\": \"agree\",\n",
           properties.name, properties.architecture, properties.unified_memory ? "true" : "false");
    probe_errata(large);
    mac_times(opened, largest, repeat);
    printf("  \"done\": true\n}\n");
    amps_drop(mac_queue);
    anymps_device_release(opened);
    return 0;
}
