/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.c: runs a fuzz target without libFuzzer: every seed, then mutations of the seeds, then random bytes.
 *
 *     fuzz_<name> FOLDER [RUNS [RANDOM]]     seeds, RUNS mutations (2000), RANDOM inputs of random bytes (500)
 *     fuzz_<name> FILE                       one input, such as one that libFuzzer found
 *
 * All are the same every time. Called by CTest; calls the target.
 */
#include "seeded.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_SEEDS = 256, MAX_BYTES = 1 << 16, DEFAULT_RUNS = 2000, DEFAULT_RANDOM = 500, RANDOM_BYTES = 400 };

typedef struct input {
    uint8_t *bytes;
    size_t size;
} input;

static input seeds[MAX_SEEDS];
static size_t seed_count;

/* Reads at most MAX_BYTES of a file and remembers them. */
static bool add_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = file != NULL ? malloc(MAX_BYTES) : NULL;
    if (bytes == NULL || seed_count == MAX_SEEDS) {
        printf("FAIL: cannot read %s\n", path);
        free(bytes);
        return false;
    }
    seeds[seed_count++] = (input){bytes, fread(bytes, 1, MAX_BYTES, file)};
    (void)fclose(file);
    return true;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* The files of a folder in the order of their names. */
static bool add_folder(const char *folder)
{
    struct dirent **entries = NULL;
    const int count = scandir(folder, &entries, NULL, by_name);
    bool good = true;
    for (int i = 0; i < count; i++) {
        char path[4096];
        if (entries[i]->d_name[0] != '.') {
            (void)snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
            good = add_file(path) && good;
        }
        free(entries[i]);
    }
    free(entries);
    return good;
}

/* Changes, inserts, removes or repeats bytes, a few times. */
static input mutate(input from, seeded *random)
{
    input to = {malloc(2 * from.size + 64), from.size};
    if (to.bytes == NULL) {
        return (input){NULL, 0};
    }
    memcpy(to.bytes, from.bytes, from.size);
    for (size_t times = 1 + seeded_below(random, 6); times > 0; times--) {
        const size_t at = seeded_below(random, to.size + 1);
        const size_t rest = to.size - at;
        switch (seeded_below(random, 5)) {
        case 0: /* a random byte */
        case 1: /* an edge value */
            if (rest > 0) {
                static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff};
                to.bytes[at] =
                    seeded_below(random, 2) == 0 ? edges[seeded_below(random, 5)] : (uint8_t)seeded_next(random);
            }
            break;
        case 2: /* one byte more */
            memmove(to.bytes + at + 1, to.bytes + at, rest);
            to.bytes[at] = (uint8_t)seeded_next(random);
            to.size++;
            break;
        case 3: /* some bytes fewer */
            if (rest > 0) {
                const size_t gone = 1 + seeded_below(random, rest < 8 ? rest : 8);
                memmove(to.bytes + at, to.bytes + at + gone, rest - gone);
                to.size -= gone;
            }
            break;
        default: /* cut */ to.size = seeded_below(random, 8) == 0 ? at : to.size; break;
        }
    }
    return to;
}

/* Inputs that owe nothing to a seed. */
static void run_random(size_t runs)
{
    seeded random = seeded_from_text("random bytes");
    for (size_t run = 0; run < runs; run++) {
        const size_t size = seeded_below(&random, RANDOM_BYTES);
        uint8_t *const bytes = malloc(size > 0 ? size : 1); /* exact, so that a read past its end is seen */
        for (size_t i = 0; bytes != NULL && i < size; i++) {
            bytes[i] = (uint8_t)seeded_next(&random);
        }
        if (bytes != NULL) {
            (void)LLVMFuzzerTestOneInput(bytes, size);
        }
        free(bytes);
    }
}

int main(int count, char **words)
{
    struct stat info;
    if (count < 2 || stat(words[1], &info) != 0) {
        printf("usage: %s FOLDER-OR-FILE [RUNS [RANDOM]]\n", words[0]);
        return 2;
    }
    const bool folder = S_ISDIR(info.st_mode);
    if (!(folder ? add_folder(words[1]) : add_file(words[1])) || seed_count == 0) {
        printf("FAIL: no seeds in %s\n", words[1]);
        return 1;
    }
    for (size_t i = 0; i < seed_count; i++) {
        (void)LLVMFuzzerTestOneInput(seeds[i].bytes, seeds[i].size);
    }
    const size_t runs = !folder ? 0 : count > 2 ? (size_t)strtoul(words[2], NULL, 10) : DEFAULT_RUNS;
    seeded random = seeded_from_text("replay");
    for (size_t run = 0; run < runs; run++) {
        const input changed = mutate(seeds[seeded_below(&random, seed_count)], &random);
        (void)LLVMFuzzerTestOneInput(changed.bytes, changed.size);
        free(changed.bytes);
    }
    for (size_t i = 0; i < seed_count; i++) {
        free(seeds[i].bytes);
    }
    const size_t lists = !folder ? 0 : count > 3 ? (size_t)strtoul(words[3], NULL, 10) : DEFAULT_RANDOM;
    run_random(lists);
    printf("%zu seeds, %zu mutations, %zu random inputs\n", seed_count, runs, lists);
    return 0;
}
