/* SPDX-License-Identifier: Apache-2.0 */
/* shared_softmax.h: softmax and log_softmax differ in a formula; their cases are the same. */
#ifndef TEST_SHARED_SOFTMAX_H
#define TEST_SHARED_SOFTMAX_H

#include "conformance.h"

/* One of the two operators. */
typedef struct softmax_kind {
    anymps_status (*create)(anymps_device *device, const void *desc, anymps_kernel **kernel);
    anymps_status (*encode)(anymps_kernel *kernel, anymps_command_buffer *commands, const placed *at,
                            const anymps_range *range);
    bool logarithm;
} softmax_kind;

void softmax_cases(suite *run, const softmax_kind *kind);

#endif /* TEST_SHARED_SOFTMAX_H */
