/* SPDX-License-Identifier: Apache-2.0 */
/* rows_table.h: the last lines of every rows__<isa>.c: its table, named by ROWS_TABLE and ISA_NAME. */
const amps_row_ukr ROWS_TABLE = {
    .name = ISA_NAME,
    .f16_to_f32 = f16_to_f32,
    .bf16_to_f32 = bf16_to_f32,
    .f32_to_f16 = f32_to_f16,
    .f32_to_bf16 = f32_to_bf16,
    .add = add,
    .exponential = exponential,
    .softmax = softmax,
    .log_softmax = log_softmax,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .neuron = neuron,
};
