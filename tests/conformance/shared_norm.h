/* SPDX-License-Identifier: Apache-2.0 */
/* shared_norm.h: rms_norm and layer_norm differ in a formula; their cases are the same. */
#ifndef TEST_SHARED_NORM_H
#define TEST_SHARED_NORM_H

#include "conformance.h"

typedef struct norm_kind {
    anymps_status (*create)(anymps_device *device, const void *desc, anymps_kernel **kernel);
    anymps_status (*encode)(anymps_kernel *kernel, anymps_command_buffer *commands, const placed *at,
                            const anymps_range *range);
    bool centred; /* the mean is subtracted */
} norm_kind;

void norm_cases(suite *run, const norm_kind *kind);

#endif /* TEST_SHARED_NORM_H */
