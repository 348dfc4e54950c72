/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_tiles.h: the tile intrinsics in C, so that the AMX microkernels run on any machine with AVX-512. CMake compiles
 * their files a second time with this header in front (-include); fake_tiles.c keeps the tiles of each thread.
 *
 * As the Intel SDM (volume 2, LDTILECFG to TILEZERO) has it: what would raise #UD or #GP there, and any use of a tile
 * without a configuration, ends the program with a message. Products follow the SDM's order: even and odd k in chains
 * of their own, subnormals are taken for zero in and out, rounding is to nearest even.
 */
#ifndef ANYMPS_FAKE_TILES_H
#define ANYMPS_FAKE_TILES_H

#include <immintrin.h>
#include <stddef.h>

void fake_tile_configure(const void *from);
void fake_tile_release(void);
void fake_tile_zero(int tile);
void fake_tile_load(int tile, const void *from, size_t row_bytes);
void fake_tile_store(int tile, void *to, size_t row_bytes);
void fake_tile_bf16(int sums, int left, int right);
void fake_tile_i8(int sums, int left, int right);
__m512i fake_tile_round(__m512 high, __m512 low); /* vcvtne2ps2bf16, which every CPU with tiles has */

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#undef _tile_dpbssd
#undef _mm512_cvtne2ps_pbh
#define _tile_loadconfig(from)            fake_tile_configure(from)
#define _tile_release()                   fake_tile_release()
#define _tile_zero(tile)                  fake_tile_zero(tile)
#define _tile_loadd(tile, from, bytes)    fake_tile_load(tile, from, bytes)
#define _tile_stored(tile, to, bytes)     fake_tile_store(tile, to, bytes)
#define _tile_dpbf16ps(sums, left, right) fake_tile_bf16(sums, left, right)
#define _tile_dpbssd(sums, left, right)   fake_tile_i8(sums, left, right)
#define _mm512_cvtne2ps_pbh(high, low)    ((__m512bh)fake_tile_round(high, low))

#endif /* ANYMPS_FAKE_TILES_H */
