/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_fake_misuse.c: each misuse that the stand-in promises to see, in a process of its own, which must end by
 * abort with a text that names the matter. A stand-in that lets one pass would prove nothing about the backend.
 */
#include "test_fake.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint32_t f32 = 0x10000020u, bf16 = 0x90000010u;

static void encode(scene *s, void *product, void *left, void *right, void *result)
{
    SEND(void, (void *, void *, void *, void *), product,
         "encodeToCommandBuffer:leftMatrix:rightMatrix:resultMatrix:", s->command_buffer, left, right, result);
}
static void encode_after_commit(scene *s)
{
    SEND0(void, s->command_buffer, "commit");
    scene_encode(s);
}
static void commit_twice(scene *s)
{
    SEND0(void, s->command_buffer, "commit");
    SEND0(void, s->command_buffer, "commit");
}
static void open_encoder_at_encode(scene *s)
{
    SEND0(void *, s->command_buffer, "computeCommandEncoder");
    scene_encode(s);
}
static void open_encoder_at_commit(scene *s)
{
    SEND0(void *, s->command_buffer, "blitCommandEncoder");
    SEND0(void, s->command_buffer, "commit");
}
static void wait_before_commit(scene *s)
{
    SEND0(void, s->command_buffer, "waitUntilCompleted");
}
static void unknown_selector(scene *s)
{
    SEND0(void, s->product, "encodeTwice");
}
static void over_release(scene *s)
{
    SEND0(void, s->product, "release");
    SEND0(void, s->product, "release");
}
static void use_after_free(scene *s)
{
    SEND0(void, s->matrices[0], "release");
    scene_encode(s);
}
static void other_device(scene *s)
{
    void *all = fake_all_devices();
    void *other = SEND(void *, (unsigned long), all, "objectAtIndex:", 1ul);
    encode(s, scene_product(other, 4, 4, 4), s->matrices[0], s->matrices[1], s->matrices[2]);
}
static void product_too_large(scene *s)
{
    encode(s, scene_product(s->device, 5, 4, 4), s->matrices[0], s->matrices[1], s->matrices[2]);
}
static void product_empty(scene *s)
{
    scene_product(s->device, 4, 0, 4);
}
static void product_types(scene *s)
{
    void *narrow = scene_matrix(s->buffers[0], 0, 4, 4, 8, bf16);
    encode(s, s->product, narrow, narrow, s->matrices[2]);
}
static void product_aliases(scene *s)
{
    encode(s, s->product, s->matrices[0], s->matrices[1], s->matrices[0]);
}
static void product_nil(scene *s)
{
    encode(s, s->product, s->matrices[0], NULL, s->matrices[2]);
}
static void batch_too_large(scene *s)
{
    SEND(void, (unsigned long), s->product, "setBatchSize:", 2ul);
    scene_encode(s);
}
static void origin_with_z(scene *s)
{
    SEND(void, (size3), s->product, "setLeftMatrixOrigin:", ((size3){0, 0, 1}));
}
static void bool_is_int(scene *s)
{
    SEND(void *, (void *, signed char, signed char, unsigned long, unsigned long, unsigned long, double, double),
         SEND0(void *, fake_class("MPSMatrixMultiplication"), "alloc"),
         "initWithDevice:transposeLeft:transposeRight:resultRows:resultColumns:interiorColumns:alpha:beta:", s->device,
         4, 0, 4ul, 4ul, 4ul, 1.0, 0.0);
}
static void size_is_negative(scene *s)
{
    scene_product(s->device, 4, (unsigned long)-4, 4);
}
static void row_bytes_too_small(scene *s)
{
    scene_matrix(s->buffers[0], 0, 4, 4, 12, f32);
}
static void row_bytes_odd(scene *s)
{
    scene_matrix(s->buffers[0], 0, 2, 4, 18, f32);
}
static void matrix_past_the_end(scene *s)
{
    scene_matrix(s->buffers[0], 4, 4, 4, 16, f32);
}
static void matrix_misaligned(scene *s)
{
    scene_matrix(s->buffers[0], 2, 2, 2, 8, f32);
}
static void unknown_type(scene *s)
{
    scene_matrix(s->buffers[0], 0, 2, 2, 16, 0x10000040u);
}
static void empty_buffer(scene *s)
{
    SEND(void *, (unsigned long, unsigned long), s->device, "newBufferWithLength:options:", 0ul, 0ul);
}
static void wrap_off_page(scene *s)
{
    SEND(void *, (void *, unsigned long, unsigned long, void *), s->device,
         "newBufferWithBytesNoCopy:length:options:deallocator:", (char *)NULL + 4096 + 16, 4096ul, 0ul, NULL);
}
static void wrap_part_of_page(scene *s)
{
    SEND(void *, (void *, unsigned long, unsigned long, void *), s->device,
         "newBufferWithBytesNoCopy:length:options:deallocator:", (char *)NULL + 65536, 100ul, 0ul, NULL);
}
static void copy_odd_bytes(scene *s)
{
    void *encoder = SEND0(void *, s->command_buffer, "blitCommandEncoder");
    SEND(void, (void *, unsigned long, void *, unsigned long, unsigned long), encoder,
         "copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:", s->buffers[0], 0ul, s->buffers[1], 0ul, 6ul);
}
static void copy_past_the_end(scene *s)
{
    void *encoder = SEND0(void *, s->command_buffer, "blitCommandEncoder");
    SEND(void, (void *, unsigned long, void *, unsigned long, unsigned long), encoder,
         "copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:", s->buffers[0], 32ul, s->buffers[1], 0ul, 64ul);
}
static void synchronize_shared(scene *s)
{
    void *encoder = SEND0(void *, s->command_buffer, "blitCommandEncoder");
    SEND(void, (void *), encoder, "synchronizeResource:", s->buffers[0]);
}
static void modify_shared(scene *s)
{
    SEND(void, (range2), s->buffers[0], "didModifyRange:", ((range2){0, 4}));
}
static void bytes_too_long(scene *s)
{
    static const char bytes[4100];
    void *encoder = SEND0(void *, s->command_buffer, "computeCommandEncoder");
    SEND(void, (const void *, unsigned long, unsigned long), encoder, "setBytes:length:atIndex:", bytes, 4100ul, 0ul);
}
static void dispatch_without_pipeline(scene *s)
{
    void *encoder = SEND0(void *, s->command_buffer, "computeCommandEncoder");
    SEND(void, (size3, size3), encoder, "dispatchThreadgroups:threadsPerThreadgroup:", ((size3){1, 1, 1}),
         ((size3){32, 1, 1}));
}
static void encoder_after_end(scene *s)
{
    void *encoder = SEND0(void *, s->command_buffer, "blitCommandEncoder");
    SEND0(void, encoder, "endEncoding");
    SEND0(void, encoder, "endEncoding");
}
static void index_past_the_end(scene *s)
{
    SEND(void *, (unsigned long), fake_all_devices(), "objectAtIndex:", 2ul);
    (void)s;
}
static void buffer_freed_unretained(scene *s)
{
    s->command_buffer = SEND0(void *, s->queue, "commandBufferWithUnretainedReferences");
    scene_encode(s);
    for (int i = 0; i < 3; i++) {
        SEND0(void, s->matrices[i], "release");
        SEND0(void, s->buffers[i], "release");
    }
    SEND0(void, s->command_buffer, "commit");
}
/* Until the stand-in sees both threads inside, which ends the process; a busy machine may take a while. */
static void *encode_for_ever(void *argument)
{
    scene *s = argument;
    for (int i = 0; i < 100000000; i++)
        SEND(void, (unsigned long), s->product, "setBatchSize:", 1ul);
    return NULL;
}
static void two_threads_in_one_kernel(scene *s)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, encode_for_ever, s);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}
static void autorelease_without_pool(scene *s)
{
    fake_pop(s->pool);
    SEND0(void *, s->queue, "commandBuffer");
}
static void pools_crossed(scene *s)
{
    fake_push();
    fake_pop(s->pool);
}
static void alive_at_exit(scene *s)
{
    (void)s;
    exit(0);
}
static void unavailable_initialiser(scene *s)
{
    SEND(void *, (void *), SEND0(void *, fake_class("MPSMatrixMultiplication"), "alloc"), "initWithDevice:", s->device);
}

/* ---- Running them ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*act)(scene *s);
    const char *text; /* part of the reason */
} misuses[] = {
    {"encode after commit", encode_after_commit, "has been committed"},
    {"commit twice", commit_twice, "committed before"},
    {"open encoder at encode", open_encoder_at_encode, "an encoder of the command buffer is open"},
    {"open encoder at commit", open_encoder_at_commit, "an encoder is open"},
    {"wait before commit", wait_before_commit, "before it was committed"},
    {"unknown selector", unknown_selector, "encodeTwice: unknown selector"},
    {"over-release", over_release, "released MPSMatrixMultiplication"},
    {"use after free", use_after_free, "left is a released MPSMatrix"},
    {"other device", other_device, "another device"},
    {"product too large", product_too_large, "5 rows from 0 on"},
    {"product empty", product_empty, "an empty product"},
    {"product types", product_types, "types 0x90000010"},
    {"product aliases", product_aliases, "overlaps"},
    {"product nil", product_nil, "right is nil"},
    {"batch too large", batch_too_large, "matrices 0 to 2"},
    {"origin with z", origin_with_z, "z of the origin"},
    {"BOOL is an int", bool_is_int, "BOOL is 4"},
    {"size is negative", size_is_negative, "result columns is 18446744073709551612"},
    {"row bytes too small", row_bytes_too_small, "rowBytes 12"},
    {"row bytes odd", row_bytes_odd, "rowBytes 18"},
    {"matrix past the end", matrix_past_the_end, "64 bytes from 4 on"},
    {"matrix misaligned", matrix_misaligned, "offset 2 is not a multiple"},
    {"unknown type", unknown_type, "data type"},
    {"empty buffer", empty_buffer, "length 0"},
    {"wrap off page", wrap_off_page, "not on a page"},
    {"wrap part of a page", wrap_part_of_page, "not whole pages"},
    {"copy odd bytes", copy_odd_bytes, "not a multiple of 4"},
    {"copy past the end", copy_past_the_end, "bytes 32+64"},
    {"synchronize shared", synchronize_shared, "not managed"},
    {"modify shared", modify_shared, "not managed"},
    {"bytes too long", bytes_too_long, "4100 bytes"},
    {"dispatch without pipeline", dispatch_without_pipeline, "no pipeline"},
    {"encoder after end", encoder_after_end, "ended before"},
    {"index past the end", index_past_the_end, "index 2 of 2"},
    {"buffer freed unretained", buffer_freed_unretained, "freed before the command buffer"},
    {"two threads in one kernel", two_threads_in_one_kernel, "two threads inside one kernel"},
    {"autorelease without pool", autorelease_without_pool, "without a pool"},
    {"pools crossed", pools_crossed, "inner pool"},
    {"alive at exit", alive_at_exit, "objects alive at exit"},
    {"unavailable initialiser", unavailable_initialiser, "unavailable"},
};

/* What bool_is_int sees on arm64, where BOOL is bool, is a 1: nothing to refuse. */
static bool applies(const char *name)
{
#if defined(__aarch64__)
    return strcmp(name, "BOOL is an int") != 0;
#else
    (void)name;
    return true;
#endif
}

static bool ends_with_reason(size_t i)
{
    char text[4096] = "";
    size_t length = 0;
    int ends[2], status = 0;
    if (pipe(ends))
        return false;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        scene s = scene_make();
        misuses[i].act(&s);
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t n = 1; n > 0 && length < sizeof text - 1; length += (size_t)(n > 0 ? n : 0))
        n = read(ends[0], text + length, sizeof text - 1 - length);
    close(ends[0]);
    waitpid(child, &status, 0);
    const bool ended = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    if (!ended || !strstr(text, misuses[i].text))
        printf("FAIL %s: status %#x, \"%s\"\n", misuses[i].name, (unsigned)status, text);
    return ended && strstr(text, misuses[i].text);
}

int run_misuse(void)
{
    int wrong = 0;
    for (size_t i = 0; i < sizeof misuses / sizeof *misuses; i++)
        wrong += applies(misuses[i].name) && !ends_with_reason(i);
    printf("%zu kinds of misuse, %d not seen\n", sizeof misuses / sizeof *misuses, wrong);
    return wrong;
}
