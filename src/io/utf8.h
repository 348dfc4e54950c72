/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.h: is a run of bytes UTF-8? For names in files; used by safetensors.c and safetensors_write.c. */
#ifndef AMPS_UTF8_H
#define AMPS_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* RFC 3629: no overlong form, no surrogate, nothing beyond U+10FFFF. */
static inline bool amps_utf8_valid(const char *text, size_t length)
{
    const unsigned char *const s = (const unsigned char *)text;
    size_t i = 0;
    while (i < length) {
        const unsigned char lead = s[i];
        const size_t more = lead < 0x80                   ? 0
                            : lead >= 0xc2 && lead < 0xe0 ? 1
                            : (lead & 0xf0) == 0xe0       ? 2
                            : lead >= 0xf0 && lead < 0xf5 ? 3
                                                          : 4;
        if (more == 4 || more >= length - i) {
            return false;
        }
        /* The second byte's range keeps out overlong forms, surrogates and what lies past the end. */
        const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        for (size_t k = 1; k <= more; k++) {
            if (s[i + k] < (k == 1 ? low : 0x80) || s[i + k] > (k == 1 ? high : 0xbf)) {
                return false;
            }
        }
        i += more + 1;
    }
    return true;
}

#endif /* AMPS_UTF8_H */
