/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job_run.c: from a job to calls of the library: create, encode, commit, wait. Called by operator_verb.c,
 * cmd_bench.c, cmd_verify.c and cmd_demo.c; calls anymps/kernels.h. Sizes are checked before (job.c).
 */
#include <string.h>

#include "job.h"

/* ---- Create ----------------------------------------------------------------------------------- */

static anymps_status create_matmul(job *j, const job_sizes *s)
{
    anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;
    desc.rows = s->m;
    desc.columns = s->n;
    desc.interior = s->k;
    desc.transpose_left = j->params.transpose[0];
    desc.transpose_right = j->params.transpose[1];
    desc.alpha = j->params.alpha;
    desc.beta = j->params.beta;
    desc.left_dtype = job_slot_dtype(j, 0);
    desc.right_dtype = job_slot_dtype(j, 1);
    desc.result_dtype = job_slot_dtype(j, 2);
    desc.options = j->params.options;
    return anymps_matmul_create(j->device, &desc, &j->kernel);
}

static anymps_status create_matrix_vector(job *j, const job_sizes *s)
{
    anymps_matrix_vector_desc desc = ANYMPS_MATRIX_VECTOR_DESC_INIT;
    desc.rows = s->m;
    desc.columns = s->k;
    desc.transpose = j->params.transpose[0];
    desc.alpha = j->params.alpha;
    desc.beta = j->params.beta;
    desc.matrix_dtype = job_slot_dtype(j, 0);
    desc.vector_dtype = job_slot_dtype(j, 1);
    desc.result_dtype = job_slot_dtype(j, 2);
    desc.options = j->params.options;
    return anymps_matrix_vector_create(j->device, &desc, &j->kernel);
}

static anymps_status create_fully_connected(job *j, const job_sizes *s)
{
    anymps_fully_connected_desc desc = ANYMPS_FULLY_CONNECTED_DESC_INIT;
    desc.rows = s->m;
    desc.inputs = s->k;
    desc.outputs = s->n;
    desc.transpose_weights = j->params.transpose[1];
    desc.neuron = j->params.neuron;
    desc.a = (float)j->params.a;
    desc.b = (float)j->params.b;
    desc.c = (float)j->params.c;
    desc.alpha = j->params.alpha;
    desc.dtype = job_slot_dtype(j, 0);
    desc.options = j->params.options;
    return anymps_fully_connected_create(j->device, &desc, &j->kernel);
}

static anymps_status create_neuron(job *j, const job_sizes *s)
{
    anymps_neuron_desc desc = ANYMPS_NEURON_DESC_INIT;
    desc.rows = s->m;
    desc.columns = s->n;
    desc.neuron = j->params.neuron;
    desc.a = (float)j->params.a;
    desc.b = (float)j->params.b;
    desc.c = (float)j->params.c;
    desc.alpha = j->params.alpha;
    desc.dtype = job_slot_dtype(j, 0);
    desc.options = j->params.options;
    return anymps_neuron_create(j->device, &desc, &j->kernel);
}

static anymps_status create_softmax(job *j, const job_sizes *s)
{
    anymps_softmax_desc desc = ANYMPS_SOFTMAX_DESC_INIT;
    desc.rows = s->m;
    desc.columns = s->n;
    desc.scale = j->params.scale;
    desc.dtype = job_slot_dtype(j, 0);
    desc.options = j->params.options;
    return j->op == JOB_SOFTMAX ? anymps_softmax_create(j->device, &desc, &j->kernel)
                                : anymps_log_softmax_create(j->device, &desc, &j->kernel);
}

static anymps_status create_norm(job *j, const job_sizes *s)
{
    anymps_norm_desc desc = ANYMPS_NORM_DESC_INIT;
    desc.rows = s->m;
    desc.columns = s->n;
    desc.epsilon = j->params.epsilon;
    desc.dtype = job_slot_dtype(j, 0);
    desc.options = j->params.options;
    return j->op == JOB_RMS_NORM ? anymps_rms_norm_create(j->device, &desc, &j->kernel)
                                 : anymps_layer_norm_create(j->device, &desc, &j->kernel);
}

static anymps_status create_lora(job *j)
{
    anymps_lora_desc desc = ANYMPS_LORA_DESC_INIT;
    desc.scale = j->params.scale;
    desc.accumulate = j->params.accumulate;
    desc.transpose_weights = j->params.transpose[1];
    desc.transpose_down = j->params.transpose[2];
    desc.transpose_up = j->params.transpose[3];
    desc.dtype = job_slot_dtype(j, 0);
    desc.options = j->params.options;
    return anymps_lora_create(j->device, &desc, &j->kernel);
}

static anymps_status create_kernel(job *j, const job_sizes *s)
{
    switch (j->op) {
    case JOB_MATMUL: return create_matmul(j, s);
    case JOB_MATRIX_VECTOR: return create_matrix_vector(j, s);
    case JOB_FULLY_CONNECTED: return create_fully_connected(j, s);
    case JOB_NEURON: return create_neuron(j, s);
    case JOB_SOFTMAX:
    case JOB_LOG_SOFTMAX: return create_softmax(j, s);
    case JOB_RMS_NORM:
    case JOB_LAYER_NORM: return create_norm(j, s);
    case JOB_LORA: return create_lora(j);
    case JOB_OPERATORS: break;
    }
    return ANYMPS_INVALID_ARGUMENT;
}

/* ---- Memory ----------------------------------------------------------------------------------- */

/* A buffer of the device's own memory with `needed` bytes of another from `offset` on. */
static anymps_status make_private(anymps_device *device, const anymps_buffer *from, size_t offset, size_t needed,
                                  anymps_buffer **copy)
{
    anymps_status status = anymps_buffer_create(device, needed, ANYMPS_STORAGE_PRIVATE, copy);
    return status == ANYMPS_OK ? anymps_buffer_copy(*copy, 0, from, offset, needed) : status;
}

static anymps_status move_matrix(anymps_device *device, anymps_matrix **matrix)
{
    anymps_matrix_desc desc = anymps_matrix_get_desc(*matrix);
    anymps_buffer *copy = NULL;
    anymps_matrix *moved = NULL;
    size_t needed = 0;
    anymps_status status = anymps_matrix_desc_resolve(&desc, &needed);
    if (status != ANYMPS_OK || needed == 0) {
        return status;
    }
    status = make_private(device, anymps_matrix_buffer(*matrix), anymps_matrix_offset_bytes(*matrix), needed, &copy);
    if (status == ANYMPS_OK) {
        status = anymps_matrix_create(copy, 0, &desc, &moved);
    }
    if (status == ANYMPS_OK) {
        anymps_matrix_release(*matrix);
        *matrix = moved;
    }
    anymps_buffer_release(copy); /* the matrix keeps it */
    return status;
}

static anymps_status move_vector(anymps_device *device, anymps_vector **vector)
{
    anymps_vector_desc desc = anymps_vector_get_desc(*vector);
    anymps_buffer *copy = NULL;
    anymps_vector *moved = NULL;
    size_t needed = 0;
    anymps_status status = anymps_vector_desc_resolve(&desc, &needed);
    if (status != ANYMPS_OK || needed == 0) {
        return status;
    }
    status = make_private(device, anymps_vector_buffer(*vector), anymps_vector_offset_bytes(*vector), needed, &copy);
    if (status == ANYMPS_OK) {
        status = anymps_vector_create(copy, 0, &desc, &moved);
    }
    if (status == ANYMPS_OK) {
        anymps_vector_release(*vector);
        *vector = moved;
    }
    anymps_buffer_release(copy); /* the vector keeps it */
    return status;
}

anymps_status job_move_to_device(job *j)
{
    anymps_device_properties properties = ANYMPS_DEVICE_PROPERTIES_INIT;
    anymps_status status = anymps_device_get_properties(j->device, &properties);
    for (size_t slot = 0; status == ANYMPS_OK && !properties.unified_memory && slot < JOB_SLOTS; slot++) {
        if (j->slot[slot].matrix != NULL) {
            status = move_matrix(j->device, &j->slot[slot].matrix);
        } else if (j->slot[slot].vector != NULL) {
            status = move_vector(j->device, &j->slot[slot].vector);
        }
    }
    return status;
}

/* ---- Prepare ---------------------------------------------------------------------------------- */

anymps_status job_prepare(job *j)
{
    job_sizes sizes;
    if (!job_measure(j, NULL, &sizes)) {
        return ANYMPS_SHAPE_MISMATCH;
    }
    anymps_status status = create_kernel(j, &sizes);
    if (status == ANYMPS_OK) {
        status = anymps_queue_create(j->device, &j->queue);
    }
    if (status == ANYMPS_OK) {
        status = anymps_command_buffer_create(j->queue, &j->command_buffer);
    }
    if (status == ANYMPS_OK) {
        status = anymps_command_buffer_enable_timings(j->command_buffer, true);
    }
    return status;
}

/* ---- Encode ----------------------------------------------------------------------------------- */

anymps_status job_encode(job *j)
{
    job_slot *s = j->slot;
    anymps_command_buffer *to = j->command_buffer;
    switch (j->op) {
    case JOB_MATMUL: return anymps_matmul_encode(j->kernel, to, s[0].matrix, s[1].matrix, s[2].matrix, NULL);
    case JOB_MATRIX_VECTOR:
        return anymps_matrix_vector_encode(j->kernel, to, s[0].matrix, s[1].vector, s[2].vector, NULL);
    case JOB_FULLY_CONNECTED:
        return anymps_fully_connected_encode(j->kernel, to, s[0].matrix, s[1].matrix, s[2].vector, s[3].vector,
                                             s[4].matrix, NULL);
    case JOB_NEURON:
        return anymps_neuron_encode(j->kernel, to, s[0].matrix, s[1].vector, s[2].vector, s[3].matrix, NULL);
    case JOB_SOFTMAX: return anymps_softmax_encode(j->kernel, to, s[0].matrix, s[1].matrix, NULL);
    case JOB_LOG_SOFTMAX: return anymps_log_softmax_encode(j->kernel, to, s[0].matrix, s[1].matrix, NULL);
    case JOB_RMS_NORM:
        return anymps_rms_norm_encode(j->kernel, to, s[0].matrix, s[1].matrix, s[2].vector, s[3].vector, s[4].matrix,
                                      NULL);
    case JOB_LAYER_NORM:
        return anymps_layer_norm_encode(j->kernel, to, s[0].matrix, s[1].matrix, s[2].vector, s[3].vector, s[4].matrix,
                                        NULL);
    case JOB_LORA:
        return anymps_lora_encode(j->kernel, to, s[0].matrix, s[1].matrix, s[2].matrix, s[3].matrix, s[4].matrix, NULL);
    case JOB_OPERATORS: break;
    }
    return ANYMPS_INVALID_ARGUMENT;
}

anymps_status job_run(job *j, anymps_timings *timings)
{
    *timings = (anymps_timings)ANYMPS_TIMINGS_INIT;
    anymps_status status = anymps_command_buffer_commit(j->command_buffer);
    if (status == ANYMPS_OK) {
        status = anymps_command_buffer_wait(j->command_buffer);
    }
    if (status == ANYMPS_OK) {
        status = anymps_command_buffer_get_timings(j->command_buffer, timings);
    }
    return status;
}

void job_free(job *j)
{
    anymps_command_buffer_release(j->command_buffer);
    anymps_queue_release(j->queue);
    anymps_kernel_release(j->kernel);
    for (size_t i = 0; i < JOB_SLOTS; i++) {
        anymps_matrix_release(j->slot[i].matrix);
        anymps_vector_release(j->slot[i].vector);
    }
    memset(j, 0, sizeof *j);
}
