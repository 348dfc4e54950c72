/* SPDX-License-Identifier: Apache-2.0 */
/* tiles.h: may this process use the tile registers (AMX)? For isa.c; tests put an emulation in the place of tiles.c. */
#ifndef AMPS_TILES_H
#define AMPS_TILES_H

#include <stdint.h>

/* AMPS_CPU_AMX_BF16 and AMPS_CPU_AMX_INT8 where the CPU has them and the kernel hands out the tiles, else 0. */
uint32_t amps_cpu_tile_features(void);

#endif /* AMPS_TILES_H */
