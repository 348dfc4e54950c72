/* SPDX-License-Identifier: Apache-2.0 */
/* seeded.c: see seeded.h. Calls nothing. */
#include "seeded.h"

seeded seeded_from_text(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    }
    return (seeded){hash};
}

uint64_t seeded_next(seeded *random)
{
    random->state += 0x9e3779b97f4a7c15u;
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

size_t seeded_below(seeded *random, size_t limit)
{
    return limit == 0 ? 0 : (size_t)(seeded_next(random) % limit);
}

double seeded_between(seeded *random, double low, double high)
{
    const double unit = (double)(seeded_next(random) >> 11) * 0x1p-53;
    return low + unit * (high - low);
}
