/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gemm_measured.c: the table of measured choices and its file (gemm_measured.h). The file is text, one line an entry:
 *
 *     anymps-cuda-matmul 2 SIGNATURE        version of the format; GPU, driver, cuBLASLt and our own table of kernels
 *     NUMBER …                              key, choice, nanoseconds
 *     end COUNT CHECKSUM
 *
 * A file that differs in the first line or does not add up counts as absent, whole, and the next measurement replaces it. A
 * new file is written beside the old one and renamed, so that readers see one or the other. Two programs that measure at
 * once may lose entries of each other, never more. Called by gemm_choice.c, cuda_gemm.c and cuda.c.
 */
#include "backend/cuda/ops/gemm_measured.h"

#include "backend/cuda/cublaslt.h"
#include "base/alloc.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRIES = 512, FIELDS = 16, LINE = 400, PATH = 1024, FORMAT = 2 };
/* Counts changes to the meaning of a choice: engines, variants and their kernels. */
enum { KERNELS_VERSION = 1 };

struct amps_measured {
    char path[PATH]; /* "": the user has no cache directory */
    char folder[PATH];
    uint64_t signature;
    size_t count, oldest;
    amps_measured_entry entries[ENTRIES];
};

/* ---- Lines ------------------------------------------------------------------------------------ */

static uint64_t add_to_hash(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *const at = bytes;
    for (size_t i = 0; i < count; i++) { /* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
        hash = (hash ^ at[i]) * 0x100000001b3u;
    }
    return hash;
}
#define HASH_START ((uint64_t)0xcbf29ce484222325u)

static uint64_t add_number(uint64_t hash, uint64_t number)
{
    for (int shift = 0; shift < 64; shift += 8) {
        const unsigned char byte = (unsigned char)(number >> shift);
        hash = add_to_hash(hash, &byte, 1);
    }
    return hash;
}

static void fields_of(const amps_measured_entry *entry, int64_t fields[FIELDS])
{
    const amps_gemm_choice *const c = &entry->choice;
    const int64_t rest[] = {c->engine, c->variant, c->turned, c->splits, c->group, entry->nanoseconds};
    memcpy(fields, &entry->key, sizeof entry->key);
    memcpy(fields + sizeof entry->key / sizeof *fields, rest, sizeof rest);
}

static bool entry_of(const int64_t fields[FIELDS], amps_measured_entry *entry)
{
    const int64_t *const rest = fields + sizeof entry->key / sizeof *fields;
    for (int i = 0; i < 5; i++) {
        if (rest[i] < 0 || rest[i] > UINT8_MAX) {
            return false;
        }
    }
    memcpy(&entry->key, fields, sizeof entry->key);
    entry->choice =
        (amps_gemm_choice){(uint8_t)rest[0], (uint8_t)rest[1], (uint8_t)rest[2], (uint8_t)rest[3], (uint8_t)rest[4]};
    entry->nanoseconds = rest[5];
    return entry->choice.engine < AMPS_ENGINES;
}

static void write_line(const amps_measured_entry *entry, char line[LINE])
{
    int64_t fields[FIELDS];
    fields_of(entry, fields);
    size_t at = 0;
    for (int i = 0; i < FIELDS; i++) {
        at += (size_t)snprintf(line + at, LINE - at, "%" PRId64 "%s", fields[i], i == FIELDS - 1 ? "\n" : " ");
    }
}

static bool read_line(const char *line, amps_measured_entry *entry)
{
    int64_t fields[FIELDS];
    const char *at = line;
    for (int i = 0; i < FIELDS; i++) {
        char *end;
        errno = 0;
        fields[i] = strtoll(at, &end, 10);
        if (end == at || errno != 0 || *end != (i == FIELDS - 1 ? '\n' : ' ')) {
            return false;
        }
        at = end + 1;
    }
    return *at == '\0' && entry_of(fields, entry);
}

/* ---- The file --------------------------------------------------------------------------------- */

static void read_file(amps_measured *table)
{
    FILE *const file = table->path[0] == '\0' ? NULL : fopen(table->path, "r");
    if (file == NULL) {
        return;
    }
    char line[LINE], wanted[LINE];
    uint64_t hash = HASH_START;
    size_t count = 0;
    bool good = false;
    (void)snprintf(wanted, sizeof wanted, "anymps-cuda-matmul %d %016" PRIx64 "\n", FORMAT, table->signature);
    if (fgets(line, sizeof line, file) != NULL && strcmp(line, wanted) == 0) {
        while (fgets(line, sizeof line, file) != NULL) {
            (void)snprintf(wanted, sizeof wanted, "end %zu %016" PRIx64 "\n", count, hash);
            if (strcmp(line, wanted) == 0) {
                good = true;
                break;
            }
            if (count == ENTRIES || !read_line(line, &table->entries[count])) {
                break;
            }
            hash = add_to_hash(hash, line, strlen(line));
            count++;
        }
    }
    (void)fclose(file);
    table->count = good ? count : 0;
}

static bool print_file(const amps_measured *table, FILE *file)
{
    uint64_t hash = HASH_START;
    bool good = fprintf(file, "anymps-cuda-matmul %d %016" PRIx64 "\n", FORMAT, table->signature) > 0;
    for (size_t i = 0; i < table->count; i++) {
        char line[LINE] = "";
        write_line(&table->entries[i], line);
        hash = add_to_hash(hash, line, strlen(line));
        good = fputs(line, file) >= 0 && good;
    }
    return fprintf(file, "end %zu %016" PRIx64 "\n", table->count, hash) > 0 && good;
}

/* The folder and the one above it, as far as they are missing. */
static void make_folders(const amps_measured *table)
{
    char above[PATH];
    (void)snprintf(above, sizeof above, "%s", table->folder);
    *strrchr(above, '/') = '\0';
    (void)mkdir(above, 0700);
    (void)mkdir(table->folder, 0700);
}

static anymps_status write_file(const amps_measured *table)
{
    char beside[PATH + 32];
    ANYMPS_FAIL_IF(table->path[0] == '\0', ANYMPS_IO,
                   "matmul: measured, but not stored: neither XDG_CACHE_HOME nor HOME is set");
    (void)snprintf(beside, sizeof beside, "%s.%ld", table->path, (long)getpid());
    make_folders(table);
    FILE *const file = fopen(beside, "w");
    ANYMPS_FAIL_IF(file == NULL, ANYMPS_IO, "matmul: measured, but not stored: %s: %s", beside, strerror(errno));
    bool good = print_file(table, file);
    good = fclose(file) == 0 && good;
    if (!good || rename(beside, table->path) != 0) {
        const int reason = errno;
        (void)remove(beside);
        return amps_fail(ANYMPS_IO, "matmul: measured, but not stored: %s: %s", table->path, strerror(reason));
    }
    return ANYMPS_OK;
}

/* ---- The table -------------------------------------------------------------------------------- */

static uint64_t signature_of(amps_cuda_device *device)
{
    const anymps_device_properties *const properties = &device->base.properties;
    int driver = 0;
    (void)amps_cu.DriverGetVersion(&driver);
    amps_cublaslt *const lt = amps_cublaslt_get(device);
    uint64_t hash = add_to_hash(HASH_START, properties->name, strlen(properties->name));
    hash = add_number(hash, KERNELS_VERSION);
    hash = add_number(hash, (uint64_t)driver);
    hash = add_number(hash, lt == NULL ? 0 : amps_cublaslt_version(lt));
    return add_number(hash, (uint64_t)device->multiprocessors);
}

/* $XDG_CACHE_HOME/anymps or ~/.cache/anymps, and in it a file for each kind of GPU. */
static void set_path(amps_measured *table, const char *gpu)
{
    const char *const cache = getenv("XDG_CACHE_HOME"), *const home = getenv("HOME");
    const bool from_home = cache == NULL || cache[0] != '/';
    const char *const root = from_home ? home : cache;
    char name[100];
    size_t at = 0;
    for (; gpu[at] != '\0' && at + 1 < sizeof name; at++) {
        name[at] = (char)(isalnum((unsigned char)gpu[at]) ? gpu[at] : '-');
    }
    name[at] = '\0';
    if (root == NULL || root[0] != '/') {
        return;
    }
    const int folder = snprintf(table->folder, PATH, "%s%s/anymps", root, from_home ? "/.cache" : "");
    if (folder > 0 && folder + (int)at + 24 < PATH) {
        (void)snprintf(table->path, PATH, "%.900s/cuda-matmul-%.100s", table->folder, name);
    }
}

/* Outside of the lock: opening cuBLASLt, whose version is in the signature, takes it too. */
static amps_measured *table_of(amps_cuda_device *device)
{
    (void)pthread_mutex_lock(&device->lock);
    amps_measured *table = device->measured;
    (void)pthread_mutex_unlock(&device->lock);
    if (table != NULL) {
        return table;
    }
    const anymps_error before = *anymps_last_error();
    amps_measured *fresh = amps_calloc(1, sizeof *fresh);
    if (fresh != NULL) {
        fresh->signature = signature_of(device);
        set_path(fresh, device->base.properties.name);
        read_file(fresh);
    }
    (void)amps_fail_again(&before);
    (void)pthread_mutex_lock(&device->lock);
    if (device->measured == NULL) {
        device->measured = fresh;
        fresh = NULL;
    }
    table = device->measured;
    (void)pthread_mutex_unlock(&device->lock);
    amps_free(fresh);
    return table;
}

amps_measured_key amps_measured_key_of(const amps_gemm *gemm)
{
    const amps_gemm_params *const p = &gemm->params;
    return (amps_measured_key){
        .kind = gemm->kind,
        .reduced = (gemm->options & ANYMPS_ALLOW_REDUCED_PRECISION) != 0,
        .plain = p->beta == 0.0f && p->bias == 0 && p->neuron.type == 0 && p->result_column == 1,
        .left_rows_dense = p->left_column != 1,
        .right_interior_dense = p->right_column != 1,
        .follows = !gemm->left_settled,
        .rows = p->rows,
        .columns = p->columns,
        .interior = p->interior,
        .batch = p->batch,
    };
}

/* Under the lock. */
static amps_measured_entry *entry_for(amps_measured *table, const amps_measured_key *key)
{
    for (size_t i = 0; i < table->count; i++) {
        if (memcmp(&table->entries[i].key, key, sizeof *key) == 0) {
            return &table->entries[i];
        }
    }
    return NULL;
}

bool amps_measured_find(amps_cuda_device *device, const amps_measured_key *key, amps_measured_entry *entry)
{
    amps_measured *const table = table_of(device);
    if (table == NULL) {
        return false;
    }
    (void)pthread_mutex_lock(&device->lock);
    const amps_measured_entry *const found = entry_for(table, key);
    if (found != NULL) {
        *entry = *found;
    }
    (void)pthread_mutex_unlock(&device->lock);
    return found != NULL;
}

bool amps_measured_put(amps_cuda_device *device, const amps_measured_entry *entry)
{
    amps_measured *const table = table_of(device);
    if (table == NULL) {
        return false;
    }
    (void)pthread_mutex_lock(&device->lock);
    amps_measured_entry *to = entry_for(table, &entry->key);
    if (to == NULL && table->count < ENTRIES) {
        to = &table->entries[table->count++];
    } else if (to == NULL) {
        to = &table->entries[table->oldest];
        table->oldest = (table->oldest + 1) % ENTRIES;
    }
    *to = *entry;
    const anymps_status status = write_file(table);
    (void)pthread_mutex_unlock(&device->lock);
    return status == ANYMPS_OK;
}

void amps_measured_close(amps_cuda_device *device)
{
    amps_free(device->measured);
    device->measured = NULL;
}
