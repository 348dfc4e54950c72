/* SPDX-License-Identifier: Apache-2.0 */
/* test_layer_norm.c: layer_norm through the cases of shared_norm.c. Called by conformance.c. */
#include "shared_norm.h"

void conformance_layer_norm(suite *run);

static anymps_status create(anymps_device *device, const void *desc, anymps_kernel **kernel)
{
    return anymps_layer_norm_create(device, desc, kernel);
}

static anymps_status encode(anymps_kernel *kernel, anymps_command_buffer *commands, const placed *at,
                            const anymps_range *range)
{
    return anymps_layer_norm_encode(kernel, commands, at[0].matrix, at[1].matrix, at[2].vector, at[3].vector,
                                    at[4].matrix, range);
}

void conformance_layer_norm(suite *run)
{
    const norm_kind kind = {create, encode, true};
    norm_cases(run, &kind);
}
