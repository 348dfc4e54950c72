/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inits.c: every *_INIT macro of the public headers sets struct_size to its struct's size, and every struct
 * that has a struct_size has such a macro. inits.def and STRUCTS_WITH_SIZE are made by CMake from a scan.
 */
#include <anymps/anymps.h>

#include <stdio.h>
#include <string.h>

/* The first member of every such struct. */
static size_t size_in(const void *made)
{
    size_t size;
    memcpy(&size, made, sizeof size);
    return size;
}

typedef struct init {
    const char *name;
    size_t set;
    size_t wanted;
} init;

int main(void)
{
#define INIT(type, macro) const type made_##type = macro;
#include "inits.def"
#undef INIT
    const init all[] = {
#define INIT(type, macro) {#macro, size_in(&made_##type), sizeof(type)},
#include "inits.def"
#undef INIT
    };
    const size_t count = sizeof all / sizeof all[0];
    int failures = 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i].set != all[i].wanted) {
            printf("FAIL: %s sets struct_size %zu, the struct has %zu bytes\n", all[i].name, all[i].set, all[i].wanted);
            failures++;
        }
    }
    if (count != STRUCTS_WITH_SIZE) {
        printf("FAIL: %d structs have a struct_size, %zu have an INIT macro\n", STRUCTS_WITH_SIZE, count);
        failures++;
    }
    printf("headers: %zu INIT macros, %d failures\n", count, failures);
    return failures == 0 ? 0 : 1;
}
