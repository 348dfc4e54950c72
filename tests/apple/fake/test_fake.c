/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_fake.c: the stand-in itself: a product comes out right, results are poisoned until completion, handlers run,
 * objects balance; then test_fake_misuse.c.
 */
#include "test_fake.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *(*fake_class)(const char *name);
const void *(*fake_selector)(const char *name);
void (*fake_send)(void);
void (*fake_send_large)(void);
void *(*fake_push)(void);
void (*fake_pop)(void *pool);
void *(*fake_default_device)(void);
void *(*fake_all_devices)(void);
void (*fake_option_set)(fake_option option, uint64_t value);
fake_counts (*fake_read_counts)(void);
static void *global_block;

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #condition);                                                \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static void load(void)
{
    void *file = dlopen(FAKE_METAL_PATH, RTLD_NOW | RTLD_GLOBAL);
    if (!file) {
        printf("%s\n", dlerror());
        exit(1);
    }
    const struct {
        const char *name;
        void *target;
    } wanted[] = {{"objc_getClass", &fake_class},
                  {"sel_registerName", &fake_selector},
                  {"objc_msgSend", &fake_send},
                  {"objc_autoreleasePoolPush", &fake_push},
                  {"objc_autoreleasePoolPop", &fake_pop},
                  {"MTLCreateSystemDefaultDevice", &fake_default_device},
                  {"MTLCopyAllDevices", &fake_all_devices},
                  {"fake_set", &fake_option_set},
                  {"fake_get_counts", &fake_read_counts},
                  {"_NSConcreteGlobalBlock", &global_block}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *symbol = dlsym(file, wanted[i].name);
        EXPECT(symbol);
        memcpy(wanted[i].target, &symbol, sizeof symbol);
    }
    void *large = dlsym(file, "objc_msgSend_stret");
    memcpy(&fake_send_large, &large, sizeof large);
#if !defined(__x86_64__)
    EXPECT(!large); /* arm64 has none */
    fake_send_large = fake_send;
#endif
}

/* ---- The scene -------------------------------------------------------------------------------- */

void *scene_matrix(void *buffer, unsigned long offset, unsigned long rows, unsigned long columns,
                   unsigned long row_bytes, uint32_t type)
{
    void *descriptor =
        SEND(void *, (unsigned long, unsigned long, unsigned long, unsigned long, unsigned long, uint32_t),
             fake_class("MPSMatrixDescriptor"),
             "matrixDescriptorWithRows:columns:matrices:rowBytes:matrixBytes:dataType:", rows, columns, 1ul, row_bytes,
             rows *row_bytes, type);
    void *matrix = SEND0(void *, fake_class("MPSMatrix"), "alloc");
    return SEND(void *, (void *, unsigned long, void *), matrix, "initWithBuffer:offset:descriptor:", buffer, offset,
                descriptor);
}

void *scene_product(void *device, unsigned long rows, unsigned long columns, unsigned long interior)
{
    void *product = SEND0(void *, fake_class("MPSMatrixMultiplication"), "alloc");
    return SEND(void *, (void *, signed char, signed char, unsigned long, unsigned long, unsigned long, double, double),
                product,
                "initWithDevice:transposeLeft:transposeRight:resultRows:resultColumns:interiorColumns:alpha:beta:",
                device, 0, 0, rows, columns, interior, 2.0, 0.0);
}

scene scene_make(void)
{
    scene s = {.pool = fake_push(), .device = fake_default_device()};
    s.queue = SEND(void *, (unsigned long), s.device, "newCommandQueueWithMaxCommandBufferCount:", 8ul);
    for (int i = 0; i < 3; i++) {
        s.buffers[i] =
            SEND(void *, (unsigned long, unsigned long), s.device, "newBufferWithLength:options:", 64ul, 0ul);
        s.matrices[i] = scene_matrix(s.buffers[i], 0, 4, 4, 16, 0x10000020u);
        float *contents = SEND0(void *, s.buffers[i], "contents");
        for (int j = 0; j < 16; j++)
            contents[j] = (float)(i == 1 ? j % 5 == 0 : j); /* the second is the identity */
    }
    s.product = scene_product(s.device, 4, 4, 4);
    s.command_buffer = SEND0(void *, s.queue, "commandBuffer");
    return s;
}

void scene_encode(scene *s)
{
    SEND(void, (void *, void *, void *, void *), s->product,
         "encodeToCommandBuffer:leftMatrix:rightMatrix:resultMatrix:", s->command_buffer, s->matrices[0],
         s->matrices[1], s->matrices[2]);
}

void scene_free(scene *s)
{
    for (int i = 0; i < 3; i++) {
        SEND0(void, s->matrices[i], "release");
        SEND0(void, s->buffers[i], "release");
    }
    SEND0(void, s->product, "release");
    SEND0(void, s->queue, "release");
    SEND0(void, s->device, "release");
    fake_pop(s->pool);
}

/* ---- Tests ------------------------------------------------------------------------------------ */

struct block {
    void *class;
    int flags, reserved;
    void (*invoke)(struct block *block, void *argument);
    const void *descriptor;
    int *hits;
};

static void on_done(struct block *block, void *argument)
{
    (void)argument;
    __atomic_fetch_add(block->hits, 1, __ATOMIC_SEQ_CST);
}

/* Looks at a result that is being made, which is a race and meant to be one. */
__attribute__((no_sanitize("thread"))) static float peek(const float *at)
{
    return *(const volatile float *)at;
}

static void test_product(void)
{
    static const unsigned long descriptor[3] = {0, sizeof(struct block), 0};
    int hits = 0;
    static struct block block;
    block = (struct block){global_block, 1 << 28 | 1 << 30, 0, on_done, descriptor, &hits};
    scene s = scene_make();
    fake_option_set(FAKE_DELAY_US, 20000);
    SEND(void, (void *), s.command_buffer, "addCompletedHandler:", &block);
    scene_encode(&s);
    const float *result = SEND0(void *, s.buffers[2], "contents");
    EXPECT(result[3] == 3.0f); /* recorded only */
    SEND0(void, s.command_buffer, "commit");
    const float early = peek(&result[3]);
    EXPECT(early < 0.0f); /* poisoned: neither the old 3 nor the new 6 */
    SEND0(void, s.command_buffer, "waitUntilCompleted");
    EXPECT(hits == 1);
    for (int j = 0; j < 16; j++)
        EXPECT(result[j] == 2.0f * (float)j);
    EXPECT(SEND0(unsigned long, s.command_buffer, "status") == 4);
    EXPECT(SEND0(double, s.command_buffer, "GPUEndTime") >= SEND0(double, s.command_buffer, "GPUStartTime"));
    const size3 most =
        ((size3(*)(void *, const void *))fake_send_large)(s.device, fake_selector("maxThreadsPerThreadgroup"));
    EXPECT(most.width == 1024 && most.depth == 1024);
    scene_free(&s);
    /* The queue's thread drops the last reference shortly after the wait has returned. */
    for (int tries = 0; tries < 2000 && fake_read_counts().buffer_bytes_live != 0; tries++)
        usleep(1000);
    EXPECT(fake_read_counts().buffer_bytes_live == 0);
    fake_option_set(FAKE_DELAY_US, 50);
}

static void test_failure(void)
{
    scene s = scene_make();
    scene_encode(&s);
    fake_option_set(FAKE_FAIL_COMMIT, 1);
    SEND0(void, s.command_buffer, "commit");
    SEND0(void, s.command_buffer, "waitUntilCompleted");
    EXPECT(SEND0(unsigned long, s.command_buffer, "status") == 5);
    void *error = SEND0(void *, s.command_buffer, "error");
    EXPECT(error && SEND0(long, error, "code") == 1);
    fake_option_set(FAKE_FAIL_CREATE, 2);
    for (int i = 0; i < 3; i++) {
        void *buffer =
            SEND(void *, (unsigned long, unsigned long), s.device, "newBufferWithLength:options:", 64ul, 32ul);
        EXPECT((buffer == NULL) == (i == 1));
        EXPECT(!buffer || !SEND0(void *, buffer, "contents")); /* private */
        SEND0(void, buffer, "release");
    }
    scene_free(&s);
}

static void test_messages_are_counted(void)
{
    scene s = scene_make();
    const fake_counts before = fake_read_counts();
    scene_encode(&s);
    const fake_counts after = fake_read_counts();
    EXPECT(after.messages - before.messages == 1 && after.objects_made == before.objects_made);
    EXPECT(after.mps_encodes - before.mps_encodes == 1);
    scene_free(&s);
}

int main(void)
{
    load();
    test_product();
    test_failure();
    test_messages_are_counted();
    const int wrong = run_misuse();
    printf("test_fake: %s\n", wrong ? "FAILED" : "ok");
    return wrong != 0;
}
