/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objc.h: Apple's world as the rest of the backend sees it: the C types of the Objective-C ABI, one typed
 * sender for each line of messages.def, the functions of functions.def, completion blocks.
 *
 * Called by every file of this folder; implemented by objc.c, the only file that casts objc_msgSend.
 * Knows nothing of devices, buffers and operators. Ownership of what a sender returns follows Cocoa's
 * naming rule: alloc, new…, copy… give a reference, everything else is borrowed from the innermost pool.
 */
#ifndef AMPS_METAL_OBJC_H
#define AMPS_METAL_OBJC_H

#include <anymps/base.h>

typedef struct amps_objc *amps_id; /* any object; also a class as receiver */
typedef struct amps_objc_class *amps_class;
typedef const struct amps_objc_sel *amps_sel;
typedef struct amps_objc_protocol *amps_protocol;
typedef struct amps_objc_method *amps_method;

typedef unsigned long amps_nsuint; /* NSUInteger */
typedef long amps_nsint;           /* NSInteger */
/* BOOL: `bool` on arm64, `signed char` on x86-64 macOS. Only 0 and 1 are passed, results are tested != 0. */
#if defined(__x86_64__)
typedef signed char amps_bool;
#else
typedef bool amps_bool;
#endif

typedef struct amps_mtl_size {
    amps_nsuint width, height, depth;
} amps_mtl_size; /* MTLSize */
typedef struct amps_nsrange {
    amps_nsuint location, length;
} amps_nsrange; /* NSRange */
typedef struct amps_os_version {
    amps_nsint major, minor, patch;
} amps_os_version; /* NSOperatingSystemVersion */
typedef struct amps_method_description {
    amps_sel name;
    char *types;
} amps_method_description; /* struct objc_method_description */

/* The numbers of Apple's enums that this backend uses; tests/apple/vocabulary compares them with the
   published values by these very names. */
typedef enum amps_apple_value {
#define AMPS_APPLE_VALUE(name, number) name = (number),
#include "values.def"
#undef AMPS_APPLE_VALUE
    AMPS_APPLE_VALUE_END
} amps_apple_value;

/* ---- Completion blocks ------------------------------------------------------------------------ */

/*
 * A block made by hand (Block ABI of Clang): what addCompletedHandler: takes. It is a stack block without
 * helpers: the receiver copies it by size, owns the copy and frees it, so the original may go as soon as the
 * message has been sent. The called function gets the copy and reads `context`, which nobody retains.
 */
typedef struct amps_block amps_block;
struct amps_block {
    const void *isa;
    int flags;
    int reserved;
    void (*invoke)(amps_block *block, amps_id object);
    const void *descriptor;
    void *context;
};

/* Fills in a block that calls `invoke`. The frameworks must be loaded. */
void amps_block_init(amps_block *block, void (*invoke)(amps_block *block, amps_id object), void *context);

/* ---- Loading ---------------------------------------------------------------------------------- */

/*
 * Opens the system's libraries, takes the functions and checks every line of messages.def against the
 * running system, once per process. UNSUPPORTED with the first thing that is missing or differs.
 */
anymps_status amps_objc_load(void);

/* The functions of functions.def; set once amps_objc_load has succeeded. */
typedef struct amps_objc_functions {
#define AMPS_FUNCTION(library, result, name, ...) result (*name)(__VA_ARGS__);
#define AMPS_LIBRARY(name, path)
#define AMPS_DATA(library, name) void *name;
#include "functions.def"
#undef AMPS_FUNCTION
#undef AMPS_LIBRARY
#undef AMPS_DATA
} amps_objc_functions;
extern amps_objc_functions amps_apple;

/* The class of that name as a receiver, looked up once for the classes of messages.def. NULL: none. */
amps_id amps_class_named(const char *name);

/* ---- Senders: amps_send_<name>(receiver, …), one per line of messages.def ---------------------- */

#define AMPS_MESSAGE0(owner, kind, result, name, selector)       result amps_send_##name(amps_id self);
#define AMPS_MESSAGE_LARGE0(owner, kind, result, name, selector) result amps_send_##name(amps_id self);
#define AMPS_MESSAGE1(owner, kind, result, name, selector, A)    result amps_send_##name(amps_id self, A a);
#define AMPS_MESSAGE2(owner, kind, result, name, selector, A, B) result amps_send_##name(amps_id self, A a, B b);
#define AMPS_MESSAGE3(owner, kind, result, name, selector, A, B, C)                                                    \
    result amps_send_##name(amps_id self, A a, B b, C c);
#define AMPS_MESSAGE4(owner, kind, result, name, selector, A, B, C, D)                                                 \
    result amps_send_##name(amps_id self, A a, B b, C c, D d);
#define AMPS_MESSAGE5(owner, kind, result, name, selector, A, B, C, D, E)                                              \
    result amps_send_##name(amps_id self, A a, B b, C c, D d, E e);
#define AMPS_MESSAGE6(owner, kind, result, name, selector, A, B, C, D, E, F)                                           \
    result amps_send_##name(amps_id self, A a, B b, C c, D d, E e, F f);
#define AMPS_MESSAGE8(owner, kind, result, name, selector, A, B, C, D, E, F, G, H)                                     \
    result amps_send_##name(amps_id self, A a, B b, C c, D d, E e, F f, G g, H h);
#include "messages.def"
#include "messages_end.h"

/* ---- Small conveniences over the senders ------------------------------------------------------ */

/* release, with NULL allowed. */
static inline void amps_drop(amps_id object)
{
    if (object != NULL) {
        amps_send_release(object);
    }
}

/* An autoreleased NSString; NULL if the text is no UTF-8. */
amps_id amps_nsstring(const char *text);

/* Copies an NSString's text, cut to `size` with a final zero; "" for NULL. */
void amps_copy_text(amps_id string, char *text, size_t size);

#endif /* AMPS_METAL_OBJC_H */
