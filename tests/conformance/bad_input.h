/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad_input.h: what the parts of bad_input share: the stage that most checks need, and how a refusal is judged.
 */
#ifndef BAD_INPUT_H
#define BAD_INPUT_H

#include "machine.h"

enum { ROWS = 5, COLUMNS = 7, INTERIOR = 6, CELLS = 64 };

/* Counts a check and prints what does not hold. */
void expect(bool holds, const char *what);

/* A refusal: the status, the detail's status, "operation: …" and two words of the message (or NULL). */
void refused(const char *what, anymps_status got, anymps_status wanted, const char *first, const char *second);

/* Ends the program where setting up fails. */
void must(anymps_status status);

/* What most checks need: a device, another one, operands that fit, a kernel, a command buffer. */
typedef struct stage {
    anymps_device *device, *other;
    anymps_buffer *buffer;
    anymps_matrix *left, *right, *result, *foreign;
    anymps_vector *vector;
    anymps_kernel *matmul, *softmax;
    anymps_queue *queue;
    anymps_command_buffer *commands;
} stage;

anymps_matrix *matrix_on(anymps_device *device, size_t rows, size_t columns, anymps_dtype dtype);
anymps_vector *vector_on(anymps_device *device, size_t length, anymps_dtype dtype);
anymps_matmul_desc matmul_desc(void); /* ROWS x COLUMNS x INTERIOR of f32 */

/* The checks: bad_input_objects.c and bad_input_encode.c. */
void test_devices(const stage *s);
void test_buffers(const stage *s);
void test_read_only(const stage *s);
void test_matrices(const stage *s);
void test_vectors(const stage *s);
void test_kernels(const stage *s);
void test_factors(const stage *s);
void test_handles(const stage *s);
void test_shapes(const stage *s);
void test_other_operands(const stage *s);
void test_ranges(const stage *s);
void test_batches(const stage *s);
void test_shared_memory(const stage *s);
void test_aliasing(const stage *s);
void test_states(const stage *s);
void test_in_flight(const stage *s, bool is_cpu);

#endif /* BAD_INPUT_H */
