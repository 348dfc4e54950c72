/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_fake.h: sending messages to the stand-in from C, for its own tests only. The library under test has its own
 * senders and is not involved.
 */
#ifndef TEST_FAKE_H
#define TEST_FAKE_H

#include "fake.h"

#include <stdbool.h>

typedef struct {
    unsigned long width, height, depth;
} size3;
typedef struct {
    unsigned long location, length;
} range2;

/* Loaded once by main. */
extern void *(*fake_class)(const char *name);
extern const void *(*fake_selector)(const char *name);
extern void (*fake_send)(void);
extern void (*fake_send_large)(void);
extern void *(*fake_push)(void);
extern void (*fake_pop)(void *pool);
extern void *(*fake_default_device)(void);
extern void *(*fake_all_devices)(void);
extern void (*fake_option_set)(fake_option option, uint64_t value);
extern fake_counts (*fake_read_counts)(void);

/* SEND(result type, (argument types), receiver, selector, arguments…) */
#define SEND0(R, object, name) ((R(*)(void *, const void *))fake_send)(object, fake_selector(name))
#define SEND(R, TYPES, object, name, ...)                                                                              \
    ((R(*)(void *, const void *, STRIP TYPES))fake_send)(object, fake_selector(name), __VA_ARGS__)
#define STRIP(...) __VA_ARGS__

/* One scene: a device, a queue, two 4×4 float matrices and a result, a product kernel. */
typedef struct scene {
    void *pool, *device, *queue, *buffers[3], *matrices[3], *product, *command_buffer;
} scene;

scene scene_make(void);
void scene_free(scene *s);
void *scene_matrix(void *buffer, unsigned long offset, unsigned long rows, unsigned long columns,
                   unsigned long row_bytes, uint32_t type);
void *scene_product(void *device, unsigned long rows, unsigned long columns, unsigned long interior);
void scene_encode(scene *s);

/* test_fake_misuse.c: every misuse in a process of its own; returns how many did not end as they must. */
int run_misuse(void);

#endif /* TEST_FAKE_H */
