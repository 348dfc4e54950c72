/* SPDX-License-Identifier: Apache-2.0 */
/* test_log_softmax.c: log_softmax through the cases of shared_softmax.c. Called by conformance.c. */
#include "shared_softmax.h"

void conformance_log_softmax(suite *run);

static anymps_status create(anymps_device *device, const void *desc, anymps_kernel **kernel)
{
    return anymps_log_softmax_create(device, desc, kernel);
}

static anymps_status encode(anymps_kernel *kernel, anymps_command_buffer *commands, const placed *at,
                            const anymps_range *range)
{
    return anymps_log_softmax_encode(kernel, commands, at[0].matrix, at[1].matrix, range);
}

void conformance_log_softmax(suite *run)
{
    const softmax_kind kind = {create, encode, true};
    softmax_cases(run, &kind);
}
