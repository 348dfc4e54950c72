/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write.c: files that appear whole or not at all. See write.h.
 *
 * The bytes go into a new file of the same folder, which is flushed to the disk and then renamed over the
 * place: a reader sees the old file or the new one, also after a crash. A failure on the way removes the
 * new file. A symbolic link stays, and what it names is replaced. Devices, pipes and whatever is called
 * /dev/…, which a rename would replace, are written straight. Knows no file format.
 */
#include "io/write.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"
#include "base/threads.h"
#include "io/elements.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* 256 KiB: large enough that the system call is noise beside the copy. */
enum { STAGE_BYTES = 1 << 18, NAME_TRIES = 100, NEW_FILE_MODE = 0666 };

static anymps_status io_failure(const amps_write *w, int code)
{
    return amps_fail_code(ANYMPS_IO, code, "%s: %.120s: %s", w->operation, w->path, strerror(code));
}

/* ---- Begin and end ----------------------------------------------------------------------------- */

/* Bytes of the folder part of the path, with its slash. */
static size_t folder_length(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash != NULL ? (size_t)(slash - path) + 1 : 0;
}

/* Where the file is to appear. */
static const char *place_of(const amps_write *w)
{
    return w->target != NULL ? w->target : w->path;
}

/* Finds what a symbolic link leads to. A link that leads nowhere is itself the place. */
static anymps_status follow_link(amps_write *w)
{
    struct stat about;
    char resolved[PATH_MAX];
    if (lstat(w->path, &about) != 0 || !S_ISLNK(about.st_mode) || realpath(w->path, resolved) == NULL) {
        return ANYMPS_OK;
    }
    const size_t size = strlen(resolved) + 1;
    w->target = amps_malloc(size);
    if (w->target == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    memcpy(w->target, resolved, size);
    return ANYMPS_OK;
}

/* Opens a new file in the folder of the place, under a name that nothing else has. The name does not grow
   with the place's own, which may already have the greatest length. */
static anymps_status open_beside(amps_write *w, const struct stat *old)
{
    const size_t folder = folder_length(place_of(w));
    const size_t size = folder + 64;
    w->temporary = amps_malloc(size);
    if (w->temporary == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    memcpy(w->temporary, place_of(w), folder);
    const uint64_t seed = amps_now_ns();
    for (unsigned i = 0; i < NAME_TRIES && w->descriptor < 0; i++) {
        (void)snprintf(w->temporary + folder, size - folder, ".anymps-%ld-%" PRIx64, (long)getpid(), seed + i);
        w->descriptor = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, NEW_FILE_MODE);
        if (w->descriptor < 0 && errno != EEXIST) {
            break;
        }
    }
    if (w->descriptor < 0) {
        return io_failure(w, errno);
    }
    if (old != NULL) {
        (void)fchmod(w->descriptor, old->st_mode & 07777); /* the new file may be read by whoever could read the old */
    }
    return ANYMPS_OK;
}

static anymps_status open_straight(amps_write *w)
{
    /* Appending: /dev/stdout may be a file that others write to as well. */
    w->descriptor = open(w->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    return w->descriptor < 0 ? io_failure(w, errno) : ANYMPS_OK;
}

static void discard(amps_write *w)
{
    if (w->descriptor >= 0) {
        (void)close(w->descriptor);
        if (w->temporary != NULL) {
            (void)unlink(w->temporary);
        }
    }
    amps_free(w->temporary);
    amps_free(w->target);
    amps_free(w->stage);
}

anymps_status amps_write_begin(amps_write *w, const char *operation, const char *path)
{
    *w = (amps_write){.operation = operation, .path = path, .descriptor = -1};
    w->stage = amps_malloc(STAGE_BYTES);
    if (w->stage == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    struct stat old;
    const bool exists = stat(path, &old) == 0;
    anymps_status status;
    if (exists && S_ISDIR(old.st_mode)) {
        status = io_failure(w, EISDIR);
    } else if (exists && (!S_ISREG(old.st_mode) || strncmp(path, "/dev/", 5) == 0)) {
        status = open_straight(w);
    } else {
        status = follow_link(w);
        status = status == ANYMPS_OK ? open_beside(w, exists ? &old : NULL) : status;
    }
    if (status != ANYMPS_OK) {
        discard(w);
    }
    return status;
}

static anymps_status write_all(amps_write *w, const unsigned char *bytes, size_t length_bytes)
{
    /* Some systems refuse more than 2 GiB in one call. */
    static const size_t most = (size_t)1 << 30;
    while (length_bytes > 0) {
        const ssize_t written = write(w->descriptor, bytes, amps_min(length_bytes, most));
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return io_failure(w, written < 0 ? errno : EIO);
        }
        bytes += written;
        length_bytes -= (size_t)written;
    }
    return ANYMPS_OK;
}

static anymps_status flush_stage(amps_write *w)
{
    const size_t length = w->staged_bytes;
    w->staged_bytes = 0;
    return write_all(w, w->stage, length);
}

anymps_status amps_write_bytes(amps_write *w, const void *bytes, size_t length_bytes)
{
    if (length_bytes > STAGE_BYTES - w->staged_bytes) {
        ANYMPS_TRY(flush_stage(w));
    }
    if (length_bytes >= STAGE_BYTES) {
        return write_all(w, bytes, length_bytes);
    }
    memcpy(w->stage + w->staged_bytes, bytes, length_bytes);
    w->staged_bytes += length_bytes;
    return ANYMPS_OK;
}

/* The rename itself reaches the disk when its folder does; a folder that cannot be flushed (some network
   file systems) has still been renamed in, so that no failure is told. */
static void flush_folder(const amps_write *w)
{
    char name[PATH_MAX] = "."; /* no system takes a longer path */
    const size_t folder = folder_length(place_of(w));
    if (folder > 0 && folder < sizeof name) {
        memcpy(name, place_of(w), folder);
        name[folder] = '\0';
    }
    const int descriptor = open(name, O_RDONLY | O_CLOEXEC);
    if (descriptor >= 0) {
        (void)fsync(descriptor);
        (void)close(descriptor);
    }
}

static anymps_status finish(amps_write *w)
{
    ANYMPS_TRY(flush_stage(w));
    if (w->temporary != NULL && fsync(w->descriptor) != 0) {
        return io_failure(w, errno);
    }
    if (w->temporary != NULL && rename(w->temporary, place_of(w)) != 0) {
        return io_failure(w, errno);
    }
    return ANYMPS_OK;
}

anymps_status amps_write_end(amps_write *w, anymps_status status)
{
    if (status == ANYMPS_OK) {
        status = finish(w);
    }
    if (status == ANYMPS_OK && w->temporary != NULL) {
        flush_folder(w);
        amps_free(w->temporary); /* it has its final name: nothing to remove */
        w->temporary = NULL;
    }
    discard(w);
    return status;
}

/* ---- Elements ---------------------------------------------------------------------------------- */

amps_tensor_view amps_view_matrix(const anymps_matrix *matrix)
{
    const anymps_matrix_desc d = anymps_matrix_get_desc(matrix);
    amps_tensor_view view = {
        .buffer = anymps_matrix_buffer(matrix),
        .offset_bytes = anymps_matrix_offset_bytes(matrix),
        .rank = d.matrices > 1 ? 3 : 2,
        .shape = {d.matrices, d.rows, d.columns},
        .rows = d.rows,
        .columns = d.columns,
        .matrices = d.matrices,
        .row_bytes = d.row_bytes,
        .matrix_bytes = d.matrix_bytes,
        .dtype = d.dtype,
    };
    if (view.rank == 2) {
        view.shape[0] = d.rows;
        view.shape[1] = d.columns;
    }
    return view;
}

amps_tensor_view amps_view_vector(const anymps_vector *vector)
{
    const anymps_vector_desc d = anymps_vector_get_desc(vector);
    amps_tensor_view view = {
        .buffer = anymps_vector_buffer(vector),
        .offset_bytes = anymps_vector_offset_bytes(vector),
        .rank = d.vectors > 1 ? 2 : 1,
        .shape = {d.vectors, d.length},
        .rows = d.vectors,
        .columns = d.length,
        .matrices = 1,
        .row_bytes = d.vector_bytes,
        .dtype = d.dtype,
    };
    if (view.rank == 1) {
        view.shape[0] = d.length;
    }
    return view;
}

/* `count` elements that lie one after the other from `offset_bytes` on, by pieces. */
static anymps_status write_run(amps_write *w, const amps_tensor_view *view, size_t offset_bytes, size_t count,
                               anymps_dtype dtype, unsigned char *room)
{
    const size_t from_bytes = anymps_dtype_bytes(view->dtype);
    const size_t to_bytes = anymps_dtype_bytes(dtype);
    const size_t piece = STAGE_BYTES / 8; /* elements; room has as many of 8 bytes, twice */
    unsigned char *const converted = room + STAGE_BYTES;
    for (size_t done = 0; done < count; done += piece) {
        const size_t now = amps_min(piece, count - done);
        ANYMPS_TRY(anymps_buffer_read(view->buffer, offset_bytes + done * from_bytes, room, now * from_bytes));
        amps_convert(view->dtype, false, room, dtype, converted, now);
        ANYMPS_TRY(amps_write_bytes(w, converted, now * to_bytes));
    }
    return ANYMPS_OK;
}

static anymps_status write_rows(amps_write *w, const amps_tensor_view *view, anymps_dtype dtype, unsigned char *room)
{
    const size_t tight_bytes = view->columns * anymps_dtype_bytes(view->dtype); /* proven by the matrix */
    const bool tight = view->row_bytes == tight_bytes;
    for (size_t b = 0; b < view->matrices; b++) {
        const size_t begin = view->offset_bytes + b * view->matrix_bytes;
        if (tight) {
            ANYMPS_TRY(write_run(w, view, begin, view->rows * view->columns, dtype, room));
            continue;
        }
        for (size_t i = 0; i < view->rows; i++) {
            ANYMPS_TRY(write_run(w, view, begin + i * view->row_bytes, view->columns, dtype, room));
        }
    }
    return ANYMPS_OK;
}

anymps_status amps_write_elements(amps_write *w, const amps_tensor_view *view, anymps_dtype dtype)
{
    if (view->rows == 0 || view->columns == 0) {
        return ANYMPS_OK;
    }
    unsigned char *const room = amps_malloc((size_t)2 * STAGE_BYTES);
    if (room == NULL) {
        return ANYMPS_OUT_OF_MEMORY;
    }
    const anymps_status status = write_rows(w, view, dtype, room);
    amps_free(room);
    return status;
}
