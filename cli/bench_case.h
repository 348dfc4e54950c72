/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_case.h: one measured case: our times apart, and the peers' in the same minutes.
 */
#ifndef BENCH_CASE_H
#define BENCH_CASE_H

#include "cases.h"
#include "peer_libraries.h"

typedef struct bench_result {
    char text[JOB_TEXT];
    char explain[96];
    double p10, p50, p90;  /* ns, round trip: commit until the host knows */
    double encode, device; /* ns, medians */
    double flops, bytes;
    size_t samples;
    double peer[PEERS_MOST]; /* ns, medians; 0: not measured */
} bench_result;

/* Measures the case for about `seconds`. Every sample encodes anew, commits and waits; peers run in turn
   with ours, sample by sample, so that all of them see the same machine. False, with the error line
   printed, on failure. */
bool bench_case_run(const case_spec *spec, anymps_device *device, const peers *others, double seconds,
                    bench_result *result);

#endif /* BENCH_CASE_H */
