/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu.c: the CPU backend's vtable: devices, memory, blocking transfers, prepared kernels. Queues are in
 * cpu_queue.c. Called by the front end through amps_backend_cpu; calls isa.c, pool.c and the operators'
 * entries. Knows no operator's arithmetic.
 */
#include "backend/cpu/cpu.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More threads than any machine of today has CPUs; a larger number is a mistake. */
enum { MAX_THREADS = 4096 };

#define AMPS_OPERATOR(name, desc_type, operand_count, dtype_count) extern const amps_cpu_op amps_cpu_##name;
#include "contract/ops.def"
#undef AMPS_OPERATOR

static const amps_cpu_op *const entries[AMPS_OP_COUNT] = {
#define AMPS_OPERATOR(name, desc_type, operand_count, dtype_count) &amps_cpu_##name,
#include "contract/ops.def"
#undef AMPS_OPERATOR
};

const amps_row_ukr *amps_cpu_choose_rows(amps_cpu_isa isa)
{
    const struct {
        amps_cpu_isa level;
        const amps_row_ukr *ukr;
    } known[] = {
#define AMPS_ROW_UKR(name, level) {level, &amps_row_ukr_##name},
#include "backend/cpu/ukr/ukr.def"
#undef AMPS_ROW_UKR
        {AMPS_CPU_ISA_BASELINE, &amps_row_ukr_reference},
    };
    size_t i = 0;
    while (known[i].level > isa) {
        i++;
    }
    return known[i].ukr;
}

/* ---- devices ---------------------------------------------------------------------------------- */

static size_t physical_bytes(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long page = sysconf(_SC_PAGESIZE);
    size_t bytes = 0;
    if (pages <= 0 || page <= 0 || !amps_mul((size_t)pages, (size_t)page, &bytes)) {
        return PTRDIFF_MAX;
    }
    return bytes;
}

static anymps_device_properties properties_of(amps_cpu_isa isa, size_t threads)
{
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    properties.backend = ANYMPS_BACKEND_CPU;
    snprintf(properties.id, sizeof properties.id, "cpu");
    amps_cpu_name(properties.name, sizeof properties.name);
    snprintf(properties.architecture, sizeof properties.architecture, "%s", amps_cpu_isa_name(isa));
    properties.unified_memory = true;
    properties.max_buffer_bytes = PTRDIFF_MAX; /* wrapped files may exceed the memory */
    properties.recommended_working_set_bytes = physical_bytes();
    properties.threads = threads;
    return properties;
}

static bool describe(size_t index, anymps_device_properties *properties)
{
    if (index != 0) {
        return false;
    }
    *properties = properties_of(amps_cpu_isa_best(), amps_cpu_allowed());
    return true;
}

/* `wanted`, or the variable ANYMPS_NUM_THREADS, or as many as the process may run on. */
static anymps_status thread_count(size_t wanted, size_t *threads)
{
    const char *const text = getenv("ANYMPS_NUM_THREADS");
    *threads = wanted;
    if (wanted == 0 && text != NULL && text[0] != '\0') {
        char *end = NULL;
        errno = 0;
        const unsigned long value = strtoul(text, &end, 10);
        ANYMPS_FAIL_IF(text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value == 0,
                       ANYMPS_INVALID_ARGUMENT, "device_open: ANYMPS_NUM_THREADS is '%.32s', not a number from 1",
                       text);
        *threads = value;
    } else if (wanted == 0) {
        *threads = amps_cpu_allowed();
    }
    ANYMPS_FAIL_IF(*threads > MAX_THREADS, ANYMPS_INVALID_ARGUMENT, "device_open: %zu threads, at most %d work",
                   *threads, MAX_THREADS);
    return ANYMPS_OK;
}

extern const amps_backend amps_backend_cpu;

static anymps_status open_device(size_t index, const anymps_device_desc *desc, amps_device **out)
{
    (void)index;
    amps_cpu_isa isa = AMPS_CPU_ISA_BASELINE;
    size_t threads = 0;
    ANYMPS_TRY(amps_cpu_isa_parse(desc->isa, &isa));
    ANYMPS_TRY(thread_count(desc->threads, &threads));
    amps_cpu_device *const device = amps_calloc(1, sizeof *device);
    if (device == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    anymps_status status = amps_packed_open(physical_bytes(), &device->packed);
    status = status != ANYMPS_OK ? status : amps_pool_open(threads, &device->pool);
    if (status != ANYMPS_OK) {
        if (device->packed != NULL) {
            amps_packed_close(device->packed);
        }
        amps_free(device);
        return status;
    }
    device->isa = isa;
    device->features = amps_cpu_features(isa);
    device->caches = amps_cpu_cache_sizes();
    device->rows = amps_cpu_choose_rows(isa);
    device->base.backend = &amps_backend_cpu;
    device->base.properties = properties_of(isa, amps_pool_threads(device->pool));
    *out = &device->base;
    return ANYMPS_OK;
}

static void close_device(amps_device *device)
{
    amps_cpu_device *const self = (amps_cpu_device *)device;
    amps_pool_close(self->pool);
    amps_packed_close(self->packed);
    amps_free(self);
}

/* ---- memory ----------------------------------------------------------------------------------- */

/* amps_memory.native is the address for the kernels; .host hides it for private storage. */
typedef struct cpu_memory {
    amps_memory base;
    void *owned; /* NULL: wrapped */
} cpu_memory;

static anymps_status allocate(amps_device *device, const amps_memory_request *request, amps_memory **out)
{
    cpu_memory *const memory = amps_calloc(1, sizeof *memory);
    if (memory == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    if (request->kind == AMPS_MEMORY_NEW) {
        const size_t alignment = request->length_bytes >= AMPS_PAGE_BYTES ? AMPS_PAGE_BYTES : AMPS_CACHE_LINE;
        memory->owned = amps_malloc_aligned(request->length_bytes, alignment, true);
        if (memory->owned == NULL) {
            amps_free(memory);
            return ANYMPS_OUT_OF_MEMORY;
        }
    }
    memory->base.device = device;
    memory->base.native = memory->owned != NULL ? memory->owned : request->bytes;
    memory->base.host = request->storage == ANYMPS_STORAGE_PRIVATE ? NULL : memory->base.native;
    memory->base.length_bytes = request->length_bytes;
    memory->base.storage = request->storage;
    *out = &memory->base;
    return ANYMPS_OK;
}

static void free_memory(amps_memory *memory)
{
    cpu_memory *const self = (cpu_memory *)memory;
    amps_free(self->owned);
    amps_free(self);
}

static anymps_status transfer(amps_device *device, const amps_transfer *request)
{
    (void)device;
    unsigned char *const at = (unsigned char *)request->memory->native + request->offset_bytes;
    const size_t length = request->length_bytes;
    if (length == 0) {
        return ANYMPS_OK;
    }
    switch (request->kind) {
    case AMPS_TRANSFER_READ: memmove(request->host, at, length); break;
    case AMPS_TRANSFER_WRITE: memmove(at, request->host_bytes, length); break;
    case AMPS_TRANSFER_COPY:
        memmove(at, (const unsigned char *)request->source->native + request->source_offset_bytes, length);
        break;
    case AMPS_TRANSFER_FILL: memset(at, request->value, length); break;
    case AMPS_TRANSFER_PUBLISH: /* host and device see the same bytes */
    case AMPS_TRANSFER_FETCH: break;
    }
    return ANYMPS_OK;
}

/* ---- kernels ---------------------------------------------------------------------------------- */

anymps_status amps_cpu_supports_floating(const char *name, const anymps_dtype *dtypes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ANYMPS_FAIL_IF(dtypes[i] != ANYMPS_DTYPE_F32 && dtypes[i] != ANYMPS_DTYPE_F16 && dtypes[i] != ANYMPS_DTYPE_BF16,
                       ANYMPS_UNSUPPORTED, "%s: type %s is none of f32, f16, bf16", name, anymps_dtype_name(dtypes[i]));
    }
    return ANYMPS_OK;
}

anymps_status amps_cpu_explain(amps_cpu_kernel *kernel, anymps_algorithm algorithm, const char *what)
{
    ANYMPS_FAIL_IF(algorithm == ANYMPS_ALGORITHM_VENDOR, ANYMPS_UNSUPPORTED,
                   "%s: the CPU has no vendor's kernels, only this library's own", kernel->entry->name);
    snprintf(kernel->explain_text, sizeof kernel->explain_text, "own %s", what);
    return ANYMPS_OK;
}

static anymps_status supports(amps_device *device, amps_operator op, const anymps_dtype *dtypes, size_t dtype_count)
{
    (void)device;
    return entries[op]->supports(entries[op]->name, dtypes, dtype_count);
}

static anymps_status prepare(amps_device *device, amps_operator op, const void *desc, amps_kernel **out)
{
    amps_cpu_kernel *const kernel = amps_calloc(1, sizeof *kernel);
    if (kernel == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    kernel->base.device = device;
    kernel->base.explain = kernel->explain_text;
    kernel->op = op;
    kernel->desc = desc;
    kernel->entry = entries[op];
    const anymps_status status = kernel->entry->prepare(kernel);
    if (status != ANYMPS_OK) {
        amps_free(kernel);
        return status;
    }
    *out = &kernel->base;
    return ANYMPS_OK;
}

static void discard(amps_kernel *kernel)
{
    amps_free(kernel);
}

const amps_backend amps_backend_cpu = {
    .kind = ANYMPS_BACKEND_CPU,
    .name = "cpu",
    .describe = describe,
    .open = open_device,
    .close = close_device,
    .queue_open = amps_cpu_queue_open,
    .queue_close = amps_cpu_queue_close,
    .allocate = allocate,
    .free = free_memory,
    .transfer = transfer,
    .supports = supports,
    .prepare = prepare,
    .discard = discard,
    .submit = amps_cpu_submit,
    .wait = amps_cpu_wait,
};
