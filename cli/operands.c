/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operands.c: from the words of a command line to matrices and vectors. Called by operator_verb.c and
 * cmd_demo.c; calls anymps/io.h. It does not know whether operands fit each other (job.c does).
 */
#include "operands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "values.h"

enum { PATH_LONGEST = 4096 };

/* Splits at the first ':' before which stands a file; without one the whole word is the path. */
static bool split_spec(const char *spec, char *path, const char **name)
{
    *name = NULL;
    size_t longest = strlen(spec);
    if (longest >= PATH_LONGEST) {
        return false;
    }
    memcpy(path, spec, longest + 1);
    if (access(spec, F_OK) == 0) {
        return true;
    }
    for (const char *colon = strchr(spec, ':'); colon != NULL; colon = strchr(colon + 1, ':')) {
        size_t length = (size_t)(colon - spec);
        path[length] = '\0';
        if (access(path, F_OK) == 0) {
            *name = colon + 1;
            return true;
        }
        path[length] = ':';
    }
    return true;
}

bool operand_open(const char *context, const char *spec, anymps_file **file, size_t *index)
{
    char path[PATH_LONGEST];
    const char *name = NULL;
    *file = NULL;
    if (!split_spec(spec, path, &name)) {
        cli_error("%s: a path of %zu bytes, %d are the most", context, strlen(spec), PATH_LONGEST - 1);
        return false;
    }
    if (anymps_file_open(path, file) != ANYMPS_OK) {
        cli_error("%s %s: %s", context, path, cli_library_message());
        return false;
    }
    size_t count = anymps_file_count(*file);
    if (name == NULL && count != 1) {
        cli_error("%s %s: holds %zu tensors, 1 is needed: name it as %s:NAME", context, path, count, path);
    } else if (anymps_file_find(*file, name, index) != ANYMPS_OK) {
        cli_error("%s %s: %s", context, path, cli_library_message());
    } else {
        return true;
    }
    anymps_file_release(*file);
    *file = NULL;
    return false;
}

/* Replaces the matrix by a row-major, writable copy (of its transpose). */
static bool copy_matrix(const operand_request *request, job_slot *slot, bool transpose)
{
    dense values = {0};
    anymps_matrix *copy = NULL;
    if (!dense_read_matrix(slot->matrix, transpose, &values)) {
        return false;
    }
    anymps_matrix_desc desc =
        anymps_matrix_desc_make(values.rows, values.columns, anymps_matrix_get_desc(slot->matrix).dtype);
    desc.matrices = values.matrices;
    bool good = anymps_matrix_create_on(request->device, &desc, &copy) == ANYMPS_OK;
    if (!good) {
        cli_error("%s: %s %s: %s", request->operator_name, request->slot_name, request->spec, cli_library_message());
    }
    good = good && dense_write_matrix(&values, copy);
    dense_free(&values);
    if (good) {
        anymps_matrix_release(slot->matrix);
        slot->matrix = copy;
    } else {
        anymps_matrix_release(copy);
    }
    return good;
}

static bool load_tensor(const operand_request *request, anymps_file *file, size_t index, job_slot *slot,
                        bool *transposed)
{
    anymps_file_tensor tensor = ANYMPS_FILE_TENSOR_INIT;
    anymps_load_desc load = ANYMPS_LOAD_DESC_INIT;
    bool turned = false;
    anymps_status status = anymps_file_get_tensor(file, index, &tensor);
    load.convert_to = request->convert_to;
    if (status == ANYMPS_OK && tensor.dtype == ANYMPS_DTYPE_F64 && load.convert_to == ANYMPS_DTYPE_INVALID) {
        if (!request->narrow) {
            cli_error("%s: %s %s is f64, which no operator takes; --narrow reads it as f32", request->operator_name,
                      request->slot_name, request->spec);
            return false;
        }
        load.convert_to = ANYMPS_DTYPE_F32;
    }
    if (status == ANYMPS_OK) {
        status = request->vector ? anymps_file_load_vector(file, index, request->device, &load, &slot->vector)
                                 : anymps_file_load_matrix(file, index, request->device, &load, &slot->matrix, &turned);
    }
    if (status != ANYMPS_OK) {
        cli_error("%s: %s %s: %s", request->operator_name, request->slot_name, request->spec, cli_library_message());
        return false;
    }
    *transposed = turned != (request->column && tensor.rank == 1);
    if (request->vector || (!request->writable && (request->transposable || !*transposed))) {
        return true;
    }
    bool turn = *transposed;
    *transposed = false;
    return copy_matrix(request, slot, turn);
}

bool operand_load(const operand_request *request, job_slot *slot, bool *transposed)
{
    char context[64];
    anymps_file *file = NULL;
    size_t index = 0;
    snprintf(context, sizeof context, "%s: %s", request->operator_name, request->slot_name);
    *transposed = false;
    if (!operand_open(context, request->spec, &file, &index)) {
        return false;
    }
    bool good = load_tensor(request, file, index, slot, transposed);
    anymps_file_release(file); /* its matrices keep it */
    return good;
}
