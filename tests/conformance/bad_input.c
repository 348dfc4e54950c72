/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad_input.c: everything that a caller can get wrong is refused with the right status and a message that
 * has both numbers, and changes nothing. Hostile files: tests/io. Public API only.
 *
 *     bad_input [--device cpu] [--isa avx2]
 */
#include "bad_input.h"
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t failures, checks;

void expect(bool holds, const char *what)
{
    checks++;
    if (!holds) {
        printf("FAIL: %s\n", what);
        failures++;
    }
}

void refused(const char *what, anymps_status got, anymps_status wanted, const char *first, const char *second)
{
    const anymps_error *const error = anymps_last_error();
    const size_t operation = strlen(error->operation);
    checks++;
    if (got != wanted || error->status != wanted) {
        printf("FAIL: %s: got %s, detail %s, wanted %s (%s)\n", what, anymps_status_name(got),
               anymps_status_name(error->status), anymps_status_name(wanted), error->message);
        failures++;
    } else if (operation == 0 || strncmp(error->message, error->operation, operation) != 0 ||
               error->message[operation] != ':') {
        printf("FAIL: %s: the message does not begin with its operation: %s\n", what, error->message);
        failures++;
    } else if ((first != NULL && strstr(error->message, first) == NULL) ||
               (second != NULL && strstr(error->message, second) == NULL)) {
        printf("FAIL: %s: '%s' and '%s' are not in: %s\n", what, first != NULL ? first : "",
               second != NULL ? second : "", error->message);
        failures++;
    }
    anymps_clear_error();
}

void must(anymps_status status)
{
    if (status != ANYMPS_OK) {
        printf("FAIL: setting up: %s\n", anymps_last_error()->message);
        exit(TEST_FAILED);
    }
}

anymps_matrix *matrix_on(anymps_device *device, size_t rows, size_t columns, anymps_dtype dtype)
{
    const anymps_matrix_desc desc = anymps_matrix_desc_make(rows, columns, dtype);
    anymps_matrix *matrix = NULL;
    must(anymps_matrix_create_on(device, &desc, &matrix));
    return matrix;
}

anymps_vector *vector_on(anymps_device *device, size_t length, anymps_dtype dtype)
{
    const anymps_vector_desc desc = anymps_vector_desc_make(length, dtype);
    anymps_vector *vector = NULL;
    must(anymps_vector_create_on(device, &desc, &vector));
    return vector;
}

anymps_matmul_desc matmul_desc(void)
{
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    desc.rows = ROWS;
    desc.columns = COLUMNS;
    desc.interior = INTERIOR;
    desc.left_dtype = desc.right_dtype = desc.result_dtype = ANYMPS_DTYPE_F32;
    return desc;
}

static stage set_up(anymps_device *device, anymps_device *other)
{
    stage s = {.device = device, .other = other};
    const anymps_matmul_desc desc = matmul_desc();
    anymps_softmax_desc softmax = ANYMPS_SOFTMAX_DESC_INIT;
    softmax.dtype = ANYMPS_DTYPE_F32;
    must(anymps_buffer_create(device, CELLS * sizeof(float), ANYMPS_STORAGE_SHARED, &s.buffer));
    s.left = matrix_on(device, ROWS, INTERIOR, ANYMPS_DTYPE_F32);
    s.right = matrix_on(device, INTERIOR, COLUMNS, ANYMPS_DTYPE_F32);
    s.result = matrix_on(device, ROWS, COLUMNS, ANYMPS_DTYPE_F32);
    s.foreign = matrix_on(other, INTERIOR, COLUMNS, ANYMPS_DTYPE_F32);
    s.vector = vector_on(device, COLUMNS, ANYMPS_DTYPE_F32);
    must(anymps_buffer_fill(anymps_matrix_buffer(s.result), 0, ROWS * COLUMNS * sizeof(float), 0x5a));
    must(anymps_matmul_create(device, &desc, &s.matmul));
    must(anymps_softmax_create(device, &softmax, &s.softmax));
    must(anymps_queue_create(device, &s.queue));
    must(anymps_command_buffer_create(s.queue, &s.commands));
    return s;
}

/* Nothing that was refused may have left a trace. */
static void tear_down(stage *s)
{
    unsigned char bytes[ROWS * COLUMNS * sizeof(float)];
    must(anymps_buffer_read(anymps_matrix_buffer(s->result), 0, bytes, sizeof bytes));
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (bytes[i] != 0x5a) {
            expect(false, "a refused call changed the result");
            break;
        }
    }
    expect(anymps_command_buffer_count(s->commands) == 0, "a refused encode recorded nothing");
    anymps_matrix_release(s->left);
    anymps_matrix_release(s->right);
    anymps_matrix_release(s->result);
    anymps_matrix_release(s->foreign);
    anymps_vector_release(s->vector);
    anymps_kernel_release(s->matmul);
    anymps_kernel_release(s->softmax);
    anymps_command_buffer_release(s->commands);
    anymps_queue_release(s->queue);
    anymps_buffer_release(s->buffer);
}

/* NULL is allowed where the headers say so, and getters of NULL are harmless. */
static void test_null_is_harmless(void)
{
    anymps_device_release(NULL);
    anymps_buffer_release(NULL);
    anymps_matrix_release(NULL);
    anymps_vector_release(NULL);
    anymps_kernel_release(NULL);
    anymps_queue_release(NULL);
    anymps_command_buffer_release(NULL);
    expect(anymps_buffer_contents(NULL) == NULL && anymps_buffer_length(NULL) == 0, "getters of no buffer");
    expect(anymps_matrix_get_desc(NULL).rows == 0 && anymps_matrix_buffer(NULL) == NULL, "getters of no matrix");
    expect(anymps_vector_get_desc(NULL).length == 0 && anymps_vector_contents(NULL) == NULL, "getters of no vector");
    expect(anymps_command_buffer_get_state(NULL) == ANYMPS_COMMAND_BUFFER_RECORDING, "state of no command buffer");
    expect(anymps_device_retain(NULL) == NULL && anymps_kernel_retain(NULL) == NULL, "retaining NULL");
}

int main(int count, char **words)
{
    machine on, beside;
    const int opened = machine_open_from(&on, count, words);
    if (opened != TEST_PASSED || machine_open_from(&beside, count, words) != TEST_PASSED) {
        return opened;
    }
    stage s = set_up(on.devices[0], beside.devices[0]);
    test_devices(&s);
    test_buffers(&s);
    test_read_only(&s);
    test_matrices(&s);
    test_vectors(&s);
    test_kernels(&s);
    test_factors(&s);
    test_handles(&s);
    test_shapes(&s);
    test_other_operands(&s);
    test_ranges(&s);
    test_batches(&s);
    test_aliasing(&s);
    test_shared_memory(&s);
    test_states(&s);
    test_in_flight(&s, on.is_cpu);
    test_null_is_harmless();
    tear_down(&s);
    machine_close(&on);
    machine_close(&beside);
    char alive[160];
    expect(!anything_alive(alive, sizeof alive), "nothing is alive at the end");
    printf("bad input: %zu checks, %zu failures\n", checks, failures);
    return failures == 0 ? TEST_PASSED : TEST_FAILED;
}
