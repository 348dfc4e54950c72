/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objc.c: the only place where objc_msgSend is cast, a function is taken by name and a block is built.
 *
 * Called by the other files of this folder through objc.h. Calls the dynamic loader and Apple's runtime.
 * Must not know what the messages are for. What the compiler cannot check here, and which test holds it,
 * stands in docs/safety.md.
 *
 * The senders are the one place of the library where function bodies come out of macros: one line of
 * messages.def then is the selector, the C signature and the type encoding at once, so they cannot differ.
 */
#include "objc.h"

#include "base/status.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#ifndef ANYMPS_APPLE_PREFIX
#define ANYMPS_APPLE_PREFIX ""
#endif

amps_objc_functions amps_apple;

static void (*msg_send)(void);
static void (*msg_send_large)(void); /* objc_msgSend_stret on x86-64, objc_msgSend elsewhere */

/* ---- Selectors and senders -------------------------------------------------------------------- */

static struct {
#define AMPS_MESSAGE0(owner, kind, result, name, selector)       amps_sel name;
#define AMPS_MESSAGE_LARGE0(owner, kind, result, name, selector) amps_sel name;
#define AMPS_MESSAGE1(owner, kind, result, name, selector, ...)  amps_sel name;
#define AMPS_MESSAGE2(owner, kind, result, name, selector, ...)  amps_sel name;
#define AMPS_MESSAGE3(owner, kind, result, name, selector, ...)  amps_sel name;
#define AMPS_MESSAGE4(owner, kind, result, name, selector, ...)  amps_sel name;
#define AMPS_MESSAGE5(owner, kind, result, name, selector, ...)  amps_sel name;
#define AMPS_MESSAGE6(owner, kind, result, name, selector, ...)  amps_sel name;
#define AMPS_MESSAGE8(owner, kind, result, name, selector, ...)  amps_sel name;
#include "messages.def"
#include "messages_end.h"
} selectors;

/* `return f();` in a function that returns void is what lets one macro serve every result type; both
   compilers accept it and only -Wpedantic objects. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#define AMPS_MESSAGE0(owner, kind, result, name, selector)                                                             \
    result amps_send_##name(amps_id self)                                                                              \
    {                                                                                                                  \
        return ((result(*)(amps_id, amps_sel))msg_send)(self, selectors.name);                                         \
    }
#define AMPS_MESSAGE_LARGE0(owner, kind, result, name, selector)                                                       \
    result amps_send_##name(amps_id self)                                                                              \
    {                                                                                                                  \
        return ((result(*)(amps_id, amps_sel))msg_send_large)(self, selectors.name);                                   \
    }
#define AMPS_MESSAGE1(owner, kind, result, name, selector, A)                                                          \
    result amps_send_##name(amps_id self, A a)                                                                         \
    {                                                                                                                  \
        return ((result(*)(amps_id, amps_sel, A))msg_send)(self, selectors.name, a);                                   \
    }
#define AMPS_MESSAGE2(owner, kind, result, name, selector, A, B)                                                       \
    result amps_send_##name(amps_id self, A a, B b)                                                                    \
    {                                                                                                                  \
        return ((result(*)(amps_id, amps_sel, A, B))msg_send)(self, selectors.name, a, b);                             \
    }
#define AMPS_MESSAGE3(owner, kind, result, name, selector, A, B, C)                                                    \
    result amps_send_##name(amps_id self, A a, B b, C c)                                                               \
    {                                                                                                                  \
        return ((result(*)(amps_id, amps_sel, A, B, C))msg_send)(self, selectors.name, a, b, c);                       \
    }
#define AMPS_MESSAGE4(owner, kind, result, name, selector, A, B, C, D)                                                 \
    result amps_send_##name(amps_id self, A a, B b, C c, D d)                                                          \
    {                                                                                                                  \
        return ((result(*)(amps_id, amps_sel, A, B, C, D))msg_send)(self, selectors.name, a, b, c, d);                 \
    }
#define AMPS_MESSAGE5(owner, kind, result, name, selector, A, B, C, D, E)                                              \
    result amps_send_##name(amps_id self, A a, B b, C c, D d, E e)                                                     \
    {                                                                                                                  \
        return ((result(*)(amps_id, amps_sel, A, B, C, D, E))msg_send)(self, selectors.name, a, b, c, d, e);           \
    }
#define AMPS_MESSAGE6(owner, kind, result, name, selector, A, B, C, D, E, F)                                           \
    result amps_send_##name(amps_id self, A a, B b, C c, D d, E e, F f)                                                \
    {                                                                                                                  \
        return ((result(*)(amps_id, amps_sel, A, B, C, D, E, F))msg_send)(self, selectors.name, a, b, c, d, e, f);     \
    }
#define AMPS_MESSAGE8(owner, kind, result, name, selector, A, B, C, D, E, F, G, H)                                     \
    result amps_send_##name(amps_id self, A a, B b, C c, D d, E e, F f, G g, H h)                                      \
    {                                                                                                                  \
        return ((result(*)(amps_id, amps_sel, A, B, C, D, E, F, G, H))msg_send)(self, selectors.name, a, b, c, d, e,   \
                                                                                f, g, h);                              \
    }
#include "messages.def"
#include "messages_end.h"
#pragma GCC diagnostic pop

/* ---- Type encodings --------------------------------------------------------------------------- */

/* The encoding that Apple's compiler gives a C type of messages.def, normalised as `normalise` does. */
#define ENCODING(type)                                                                                                 \
    _Generic((type *)0,                                                                                     \
        void *: "v",                                                                                        \
        amps_id *: "@",                                                                                     \
        amps_id **: "^@",                                                                                   \
        amps_block **: "@?",                                                                                \
        void **: "^v",                                                                                      \
        const void **: "^v",                                                                                \
        const char **: "*",                                                                                 \
        bool *: "B",                                                                                        \
        signed char *: "B",                                                                                 \
        unsigned char *: "B",                                                                               \
        int *: "i",                                                                                         \
        unsigned int *: "I",                                                                                \
        long *: "q",                                                                                        \
        long long *: "q",                                                                                   \
        unsigned long *: "Q",                                                                               \
        unsigned long long *: "Q",                                                                          \
        float *: "f",                                                                                       \
        double *: "d",                                                                                      \
        amps_mtl_size *: "{=QQQ}",                                                                          \
        amps_nsrange *: "{=QQ}",                                                                            \
        amps_os_version *: "{=qqq}")

typedef enum owner_kind { CLASS, INSTANCE, PROTOCOL } owner_kind;

enum { LONGEST_ENCODING = 128, MOST_TYPES = 9 };

typedef struct message_row {
    const char *owner;
    owner_kind kind;
    const char *selector;
    size_t sender;                 /* offset in `selectors` */
    const char *types[MOST_TYPES]; /* result, then arguments; NULL after the last */
} message_row;

#define ROW(owner, kind, name, selector, ...) {#owner, kind, selector, offsetof_selector(name), {__VA_ARGS__}},
#define offsetof_selector(name)               ((size_t)((const char *)&selectors.name - (const char *)&selectors))

static const message_row *message_rows(size_t *count)
{
    static const message_row rows[] = {
#define AMPS_MESSAGE0(owner, kind, result, name, selector)       ROW(owner, kind, name, selector, ENCODING(result))
#define AMPS_MESSAGE_LARGE0(owner, kind, result, name, selector) ROW(owner, kind, name, selector, ENCODING(result))
#define AMPS_MESSAGE1(owner, kind, result, name, selector, A)                                                          \
    ROW(owner, kind, name, selector, ENCODING(result), ENCODING(A))
#define AMPS_MESSAGE2(owner, kind, result, name, selector, A, B)                                                       \
    ROW(owner, kind, name, selector, ENCODING(result), ENCODING(A), ENCODING(B))
#define AMPS_MESSAGE3(owner, kind, result, name, selector, A, B, C)                                                    \
    ROW(owner, kind, name, selector, ENCODING(result), ENCODING(A), ENCODING(B), ENCODING(C))
#define AMPS_MESSAGE4(owner, kind, result, name, selector, A, B, C, D)                                                 \
    ROW(owner, kind, name, selector, ENCODING(result), ENCODING(A), ENCODING(B), ENCODING(C), ENCODING(D))
#define AMPS_MESSAGE5(owner, kind, result, name, selector, A, B, C, D, E)                                              \
    ROW(owner, kind, name, selector, ENCODING(result), ENCODING(A), ENCODING(B), ENCODING(C), ENCODING(D), ENCODING(E))
#define AMPS_MESSAGE6(owner, kind, result, name, selector, A, B, C, D, E, F)                                           \
    ROW(owner, kind, name, selector, ENCODING(result), ENCODING(A), ENCODING(B), ENCODING(C), ENCODING(D),             \
        ENCODING(E), ENCODING(F))
#define AMPS_MESSAGE8(owner, kind, result, name, selector, A, B, C, D, E, F, G, H)                                     \
    ROW(owner, kind, name, selector, ENCODING(result), ENCODING(A), ENCODING(B), ENCODING(C), ENCODING(D),             \
        ENCODING(E), ENCODING(F), ENCODING(G), ENCODING(H))
#include "messages.def"
#include "messages_end.h"
    };
    *count = sizeof rows / sizeof *rows;
    return rows;
}

/*
 * Reduces an encoding to what matters for a call: frame offsets, qualifiers (rnNoORV), struct names, quoted
 * class names and block signatures go; all one-byte integers become B, since BOOL differs between CPUs.
 * `text` has room for LONGEST_ENCODING bytes.
 */
static void normalise(const char *encoding, char *text)
{
    size_t used = 0;
    for (const char *at = encoding; *at != '\0' && used + 1 < LONGEST_ENCODING; at++) {
        if (strchr("0123456789rnNoORV+-", *at) != NULL) {
            continue;
        }
        if (*at == '"' || *at == '<') { /* "NSString" and <v@?@> */
            const char *end = strchr(at + 1, *at == '"' ? '"' : '>');
            at = end != NULL ? end : at;
            continue;
        }
        text[used++] = *at == 'c' || *at == 'C' ? 'B' : *at;
        if (*at == '{') { /* {CGSize=dd}, {?=QQQ}, {_NSZone=} */
            const size_t name = strcspn(at, "=}");
            at += name - (at[name] == '}' ? 1u : 0u);
            if (*at == '=' && used + 1 < LONGEST_ENCODING) {
                text[used++] = '=';
            }
        }
    }
    text[used] = '\0';
}

/* The encoding that our C signature means: result, self, selector, arguments. */
static void expected_encoding(const message_row *row, char *text)
{
    size_t used = (size_t)snprintf(text, LONGEST_ENCODING, "%s@:", row->types[0]);
    for (size_t i = 1; i < MOST_TYPES && row->types[i] != NULL; i++) {
        used += (size_t)snprintf(text + used, LONGEST_ENCODING - used, "%s", row->types[i]);
    }
}

/* ---- The check against the running system ----------------------------------------------------- */

static amps_sel row_selector(const message_row *row)
{
    amps_sel selector;
    memcpy(&selector, (const char *)&selectors + row->sender, sizeof selector);
    return selector;
}

/* What the running system says of a row; NULL if it does not declare it. A protocol that no loaded class
   refers to is not registered: `known` is then false and there is nothing to compare. */
static const char *actual_encoding(const message_row *row, bool *known)
{
    const amps_sel selector = row_selector(row);
    *known = true;
    if (row->kind == PROTOCOL) {
        const amps_protocol protocol = amps_apple.objc_getProtocol(row->owner);
        *known = protocol != NULL;
        return protocol != NULL ? amps_apple.protocol_getMethodDescription(protocol, selector, 1, 1).types : NULL;
    }
    const amps_class class = amps_apple.objc_getClass(row->owner);
    if (class == NULL) {
        return NULL;
    }
    const amps_method method = row->kind == CLASS ? amps_apple.class_getClassMethod(class, selector)
                                                  : amps_apple.class_getInstanceMethod(class, selector);
    return method != NULL ? amps_apple.method_getTypeEncoding(method) : NULL;
}

static anymps_status check_row(const message_row *row)
{
    char expected[LONGEST_ENCODING], actual[LONGEST_ENCODING];
    bool known;
    const char *encoding = actual_encoding(row, &known);
    if (!known) {
        return ANYMPS_OK;
    }
    const char *sign = row->kind == CLASS ? "+" : "-";
    ANYMPS_FAIL_IF(encoding == NULL, ANYMPS_UNSUPPORTED, "metal: this system lacks %s[%s %s]", sign, row->owner,
                   row->selector);
    expected_encoding(row, expected);
    normalise(encoding, actual);
    ANYMPS_FAIL_IF(strcmp(expected, actual) != 0, ANYMPS_UNSUPPORTED,
                   "metal: this system declares %s[%s %s] as %s where %s is expected", sign, row->owner, row->selector,
                   actual, expected);
    return ANYMPS_OK;
}

static anymps_status check_messages(void)
{
    size_t count;
    const message_row *rows = message_rows(&count);
    for (size_t i = 0; i < count; i++) {
        ANYMPS_TRY(check_row(&rows[i]));
    }
    return ANYMPS_OK;
}

/* ---- Loading ---------------------------------------------------------------------------------- */

/* A function pointer from a data pointer, which ISO C has no cast for. */
static anymps_status take(void *library, const char *path, const char *name, void *target)
{
    void *symbol = dlsym(library, name);
    ANYMPS_FAIL_IF(symbol == NULL, ANYMPS_UNSUPPORTED, "metal: %s has no %s", path, name);
    memcpy(target, &symbol, sizeof symbol);
    return ANYMPS_OK;
}

static anymps_status open_library(const char *path, void **library)
{
    *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    ANYMPS_FAIL_IF(*library == NULL, ANYMPS_UNSUPPORTED, "metal: %s cannot be loaded", path);
    return ANYMPS_OK;
}

/* The libraries stay loaded for the life of the process, as Apple's frameworks must. */
static anymps_status take_functions(void)
{
#define AMPS_LIBRARY(name, path) void *library_##name = NULL;
#define AMPS_FUNCTION(library, result, name, ...)
#define AMPS_DATA(library, name)
#include "functions.def"
#undef AMPS_LIBRARY
#define AMPS_LIBRARY(name, path) ANYMPS_TRY(open_library(ANYMPS_APPLE_PREFIX path, &library_##name));
#include "functions.def"
#undef AMPS_LIBRARY
#undef AMPS_FUNCTION
#undef AMPS_DATA
#define AMPS_LIBRARY(name, path)
#define AMPS_FUNCTION(library, result, name, ...)                                                                      \
    ANYMPS_TRY(take(library_##library, #library, #name, &amps_apple.name));
#define AMPS_DATA(library, name) AMPS_FUNCTION(library, , name, )
#include "functions.def"
#undef AMPS_LIBRARY
#undef AMPS_FUNCTION
#undef AMPS_DATA
    (void)library_coregraphics;
    (void)library_foundation;
    ANYMPS_TRY(take(library_objc, "objc", "objc_msgSend", &msg_send));
#if defined(__x86_64__)
    return take(library_objc, "objc", "objc_msgSend_stret", &msg_send_large);
#else
    msg_send_large = msg_send;
    return ANYMPS_OK;
#endif
}

static void register_selectors(void)
{
    size_t count;
    const message_row *rows = message_rows(&count);
    for (size_t i = 0; i < count; i++) {
        const amps_sel selector = amps_apple.sel_registerName(rows[i].selector);
        memcpy((char *)&selectors + rows[i].sender, &selector, sizeof selector);
    }
}

static pthread_once_t load_once = PTHREAD_ONCE_INIT;
static anymps_error load_error;

static anymps_status load(void)
{
    ANYMPS_TRY(take_functions());
    register_selectors();
    return check_messages();
}

static void load_guarded(void)
{
    if (load() != ANYMPS_OK) {
        load_error = *anymps_last_error();
        amps_log(ANYMPS_LOG_INFO, "%s", load_error.message);
    }
}

anymps_status amps_objc_load(void)
{
    pthread_once(&load_once, load_guarded);
    return load_error.status == ANYMPS_OK ? ANYMPS_OK : amps_fail_again(&load_error);
}

/* ---- Blocks and strings ----------------------------------------------------------------------- */

static const struct {
    unsigned long reserved;
    unsigned long size;
    const char *signature;
} block_descriptor = {0, sizeof(amps_block), "v16@?0@8"};

void amps_block_init(amps_block *block, void (*invoke)(amps_block *block, amps_id object), void *context)
{
    enum { BLOCK_HAS_SIGNATURE = 1 << 30 };
    *block = (amps_block){.isa = amps_apple._NSConcreteStackBlock,
                          .flags = BLOCK_HAS_SIGNATURE,
                          .invoke = invoke,
                          .descriptor = &block_descriptor,
                          .context = context};
}

amps_id amps_class_named(const char *name)
{
    return (amps_id)(void *)amps_apple.objc_getClass(name);
}

amps_id amps_nsstring(const char *text)
{
    return amps_send_string(amps_class_named("NSString"), text);
}

void amps_copy_text(amps_id string, char *text, size_t size)
{
    const char *bytes = string != NULL ? amps_send_utf8(string) : NULL;
    snprintf(text, size, "%s", bytes != NULL ? bytes : "");
}
