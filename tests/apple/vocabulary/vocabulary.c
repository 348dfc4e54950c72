/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vocabulary.c: compares every message and every enum number of the Metal backend with what Apple's frameworks
 * declare (golden.tsv), for both CPUs, and shows that wrong lines are found.
 *
 *     vocabulary golden.tsv nsobject.tsv
 *
 * An argument type is looked at twice: by its C type (what this compiler makes of it) and by its name in
 * messages.def (what it means on either CPU). Both must agree with the golden line.
 */
#include "backend/metal/objc.h"

#include <anymps/kernels.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LINES = 2048, LINE_SIZE = 512, MOST_TYPES = 9, ENCODING_SIZE = 96, ARM64 = 0, X86_64 = 1 };
#if defined(__x86_64__)
enum { THIS_CPU = X86_64 };
#else
enum { THIS_CPU = ARM64 };
#endif

/* One line of a golden file, cut at its tabs. */
typedef struct golden_line {
    char text[LINE_SIZE];
    const char *fields[6];
} golden_line;

static golden_line *lines;
static size_t line_count;

static void read_golden(const char *path)
{
    FILE *const file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "vocabulary: cannot open %s\n", path);
        exit(1);
    }
    while (line_count < MOST_LINES && fgets(lines[line_count].text, LINE_SIZE, file) != NULL) {
        golden_line *const line = &lines[line_count];
        if (line->text[0] == '#') {
            continue;
        }
        line->text[strcspn(line->text, "\n")] = '\0';
        char *rest = line->text;
        for (size_t i = 0; i < 6; i++) {
            line->fields[i] = rest;
            char *const tab = strchr(rest, '\t');
            rest = tab != NULL ? tab + 1 : rest + strlen(rest);
            if (tab != NULL) {
                *tab = '\0';
            }
        }
        line_count++;
    }
    fclose(file);
}

/* ---- Messages --------------------------------------------------------------------------------- */

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
        signed char *: "c",                                                                                 \
        unsigned char *: "C",                                                                               \
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

/* What a name of messages.def means on each CPU. */
static const struct {
    const char *name;
    const char *encodings[2];
} type_names[] = {{"void", {"v", "v"}},
                  {"amps_id", {"@", "@"}},
                  {"amps_id *", {"^@", "^@"}},
                  {"amps_block *", {"@?", "@?"}},
                  {"void *", {"^v", "^v"}},
                  {"const void *", {"^v", "^v"}},
                  {"const char *", {"*", "*"}},
                  {"amps_bool", {"B", "c"}},
                  {"uint8_t", {"C", "C"}},
                  {"int32_t", {"i", "i"}},
                  {"uint32_t", {"I", "I"}},
                  {"uint64_t", {"Q", "Q"}},
                  {"amps_nsuint", {"Q", "Q"}},
                  {"amps_nsint", {"q", "q"}},
                  {"float", {"f", "f"}},
                  {"double", {"d", "d"}},
                  {"amps_mtl_size", {"{=QQQ}", "{=QQQ}"}},
                  {"amps_nsrange", {"{=QQ}", "{=QQ}"}},
                  {"amps_os_version", {"{=qqq}", "{=qqq}"}}};

typedef struct message_row {
    const char *owner;
    const char *kind;
    const char *selector;
    const char *names[MOST_TYPES];     /* result, then arguments, as written */
    const char *encodings[MOST_TYPES]; /* by C type */
} message_row;

#define ROW0(owner, kind, selector, R)                                                                                 \
    {                                                                                                                  \
#owner, #kind, selector, {#R },                                                                                \
        {                                                                                                              \
            ENCODING(R)                                                                                                \
        }                                                                                                              \
    }
#define ROW1(owner, kind, selector, R, A)                                                                              \
    {                                                                                                                  \
#owner, #kind, selector, {#R, #A },                                                                            \
        {                                                                                                              \
            ENCODING(R), ENCODING(A)                                                                                   \
        }                                                                                                              \
    }
#define ROW2(owner, kind, selector, R, A, B)                                                                           \
    {                                                                                                                  \
#owner, #kind, selector, {#R, #A, #B },                                                                        \
        {                                                                                                              \
            ENCODING(R), ENCODING(A), ENCODING(B)                                                                      \
        }                                                                                                              \
    }
#define ROW3(owner, kind, selector, R, A, B, C)                                                                        \
    {                                                                                                                  \
#owner, #kind, selector, {#R, #A, #B, #C },                                                                    \
        {                                                                                                              \
            ENCODING(R), ENCODING(A), ENCODING(B), ENCODING(C)                                                         \
        }                                                                                                              \
    }
#define ROW4(owner, kind, selector, R, A, B, C, D)                                                                     \
    {                                                                                                                  \
#owner, #kind, selector, {#R, #A, #B, #C, #D },                                                                \
        {                                                                                                              \
            ENCODING(R), ENCODING(A), ENCODING(B), ENCODING(C), ENCODING(D)                                            \
        }                                                                                                              \
    }
#define ROW5(owner, kind, selector, R, A, B, C, D, E)                                                                  \
    {                                                                                                                  \
#owner, #kind, selector, {#R, #A, #B, #C, #D, #E },                                                            \
        {                                                                                                              \
            ENCODING(R), ENCODING(A), ENCODING(B), ENCODING(C), ENCODING(D), ENCODING(E)                               \
        }                                                                                                              \
    }
#define ROW6(owner, kind, selector, R, A, B, C, D, E, F)                                                               \
    {                                                                                                                  \
#owner, #kind, selector, {#R, #A, #B, #C, #D, #E, #F },                                                        \
        {                                                                                                              \
            ENCODING(R), ENCODING(A), ENCODING(B), ENCODING(C), ENCODING(D), ENCODING(E), ENCODING(F)                  \
        }                                                                                                              \
    }
#define ROW8(owner, kind, selector, R, A, B, C, D, E, F, G, H)                                                         \
    {                                                                                                                  \
#owner, #kind, selector, {#R, #A, #B, #C, #D, #E, #F, #G, #H },                                                \
        {                                                                                                              \
            ENCODING(R), ENCODING(A), ENCODING(B), ENCODING(C), ENCODING(D), ENCODING(E), ENCODING(F), ENCODING(G),    \
                ENCODING(H)                                                                                            \
        }                                                                                                              \
    }

static const message_row messages[] = {
#define AMPS_MESSAGE0(owner, kind, result, name, selector)       ROW0(owner, kind, selector, result),
#define AMPS_MESSAGE_LARGE0(owner, kind, result, name, selector) ROW0(owner, kind, selector, result),
#define AMPS_MESSAGE1(owner, kind, result, name, selector, ...)  ROW1(owner, kind, selector, result, __VA_ARGS__),
#define AMPS_MESSAGE2(owner, kind, result, name, selector, ...)  ROW2(owner, kind, selector, result, __VA_ARGS__),
#define AMPS_MESSAGE3(owner, kind, result, name, selector, ...)  ROW3(owner, kind, selector, result, __VA_ARGS__),
#define AMPS_MESSAGE4(owner, kind, result, name, selector, ...)  ROW4(owner, kind, selector, result, __VA_ARGS__),
#define AMPS_MESSAGE5(owner, kind, result, name, selector, ...)  ROW5(owner, kind, selector, result, __VA_ARGS__),
#define AMPS_MESSAGE6(owner, kind, result, name, selector, ...)  ROW6(owner, kind, selector, result, __VA_ARGS__),
#define AMPS_MESSAGE8(owner, kind, result, name, selector, ...)  ROW8(owner, kind, selector, result, __VA_ARGS__),
#include "backend/metal/messages.def"
#include "backend/metal/messages_end.h"
};

static const char *by_name(const char *name, int cpu)
{
    for (size_t i = 0; i < sizeof type_names / sizeof type_names[0]; i++) {
        if (strcmp(type_names[i].name, name) == 0) {
            return type_names[i].encodings[cpu];
        }
    }
    return "?";
}

static void append(char *text, const char *more)
{
    strncat(text, more, ENCODING_SIZE - strlen(text) - 1);
}

/* The whole encoding on `cpu`; by the C types if `compiled`. */
static void encode(const message_row *row, int cpu, bool compiled, char *text)
{
    text[0] = '\0';
    for (size_t i = 0; i < MOST_TYPES && row->names[i] != NULL; i++) {
        append(text, compiled ? row->encodings[i] : by_name(row->names[i], cpu));
        append(text, i == 0 ? "@:" : "");
    }
}

static const golden_line *find_selector(const message_row *row)
{
    const char *const sign = strcmp(row->kind, "CLASS") == 0 ? "+" : "-";
    for (size_t i = 0; i < line_count; i++) {
        const char *const *const fields = lines[i].fields;
        if (strcmp(fields[0], "selector") == 0 && strcmp(fields[1], row->owner) == 0 && strcmp(fields[2], sign) == 0 &&
            strcmp(fields[3], row->selector) == 0) {
            return &lines[i];
        }
    }
    return NULL;
}

/* True if the row is what Apple declares. Says what is wrong if `loud`. */
static bool message_right(const message_row *row, bool loud)
{
    const golden_line *const golden = find_selector(row);
    if (golden == NULL) {
        if (loud) {
            printf("%s does not declare %s\n", row->owner, row->selector);
        }
        return false;
    }
    bool right = true;
    for (int cpu = ARM64; cpu <= X86_64; cpu++) {
        char named[ENCODING_SIZE], compiled[ENCODING_SIZE];
        const char *const declared = golden->fields[4 + cpu];
        encode(row, cpu, false, named);
        encode(row, cpu, true, compiled);
        const bool same = strcmp(named, declared) == 0 && (cpu != THIS_CPU || strcmp(compiled, declared) == 0);
        if (!same && loud) {
            printf("%s %s on %s: declared %s, by name %s, compiled %s\n", row->owner, row->selector,
                   cpu == ARM64 ? "arm64" : "x86_64", declared, named, compiled);
        }
        right = right && same;
    }
    return right;
}

/* ---- Values ----------------------------------------------------------------------------------- */

typedef struct value_row {
    const char *name;
    long long number;
} value_row;

static const value_row values[] = {
#define AMPS_APPLE_VALUE(name, number) {#name, number},
#include "backend/metal/values.def"
#undef AMPS_APPLE_VALUE
    {"MTLStorageModeShared", ANYMPS_STORAGE_SHARED},
    {"MTLStorageModeManaged", ANYMPS_STORAGE_MANAGED},
    {"MTLStorageModePrivate", ANYMPS_STORAGE_PRIVATE},
    {"MPSKernelOptionsAllowReducedPrecision", ANYMPS_ALLOW_REDUCED_PRECISION},
    {"MPSDataTypeInvalid", ANYMPS_DTYPE_INVALID},
    {"MPSDataTypeUInt8", ANYMPS_DTYPE_U8},
    {"MPSDataTypeUInt16", ANYMPS_DTYPE_U16},
    {"MPSDataTypeUInt32", ANYMPS_DTYPE_U32},
    {"MPSDataTypeUInt64", ANYMPS_DTYPE_U64},
    {"MPSDataTypeInt8", ANYMPS_DTYPE_I8},
    {"MPSDataTypeInt16", ANYMPS_DTYPE_I16},
    {"MPSDataTypeInt32", ANYMPS_DTYPE_I32},
    {"MPSDataTypeInt64", ANYMPS_DTYPE_I64},
    {"MPSDataTypeFloat16", ANYMPS_DTYPE_F16},
    {"MPSDataTypeFloat32", ANYMPS_DTYPE_F32},
    {"MPSDataTypeBFloat16", (unsigned)ANYMPS_DTYPE_BF16},
    {"MPSDataTypeBool", (unsigned)ANYMPS_DTYPE_BOOL},
    {"MPSCNNNeuronTypeNone", ANYMPS_NEURON_NONE},
    {"MPSCNNNeuronTypeReLU", ANYMPS_NEURON_RELU},
    {"MPSCNNNeuronTypeLinear", ANYMPS_NEURON_LINEAR},
    {"MPSCNNNeuronTypeSigmoid", ANYMPS_NEURON_SIGMOID},
    {"MPSCNNNeuronTypeHardSigmoid", ANYMPS_NEURON_HARD_SIGMOID},
    {"MPSCNNNeuronTypeTanH", ANYMPS_NEURON_TANH},
    {"MPSCNNNeuronTypeAbsolute", ANYMPS_NEURON_ABSOLUTE},
    {"MPSCNNNeuronTypeSoftPlus", ANYMPS_NEURON_SOFT_PLUS},
    {"MPSCNNNeuronTypeSoftSign", ANYMPS_NEURON_SOFT_SIGN},
    {"MPSCNNNeuronTypeELU", ANYMPS_NEURON_ELU},
    {"MPSCNNNeuronTypePReLU", ANYMPS_NEURON_PRELU},
    {"MPSCNNNeuronTypeReLUN", ANYMPS_NEURON_RELUN},
    {"MPSCNNNeuronTypePower", ANYMPS_NEURON_POWER},
    {"MPSCNNNeuronTypeExponential", ANYMPS_NEURON_EXPONENTIAL},
    {"MPSCNNNeuronTypeLogarithm", ANYMPS_NEURON_LOGARITHM},
    {"MPSCNNNeuronTypeGeLU", ANYMPS_NEURON_GELU}};

static bool value_right(const value_row *row, bool loud)
{
    for (size_t i = 0; i < line_count; i++) {
        if (strcmp(lines[i].fields[0], "value") == 0 && strcmp(lines[i].fields[2], row->name) == 0) {
            const bool right = strtoll(lines[i].fields[3], NULL, 10) == row->number;
            if (!right && loud) {
                printf("%s is %s, not %lld\n", row->name, lines[i].fields[3], row->number);
            }
            return right;
        }
    }
    if (loud) {
        printf("there is no %s\n", row->name);
    }
    return false;
}

/* ---- Mistakes that must be found -------------------------------------------------------------- */

static const message_row wrong_messages[] = {
    ROW2(MTLDevice, PROTOCOL, "newBufferWithLenght:options:", amps_id, amps_nsuint, amps_nsuint), /* misspelt */
    ROW2(MTLDevice, CLASS, "newBufferWithLength:options:", amps_id, amps_nsuint, amps_nsuint),    /* + for - */
    ROW2(MTLDevice, PROTOCOL, "newBufferWithLength:options:", amps_id, int32_t, amps_nsuint), /* int for NSUInteger */
    ROW1(MPSMatrixNeuron, INSTANCE, "setAlpha:", void, float),                                /* float for double */
    ROW1(MTLCompileOptions, INSTANCE, "setFastMathEnabled:", void, int32_t),                  /* int for BOOL */
    ROW0(MTLCommandBuffer, PROTOCOL, "GPUStartTime", float),                                  /* result */
    ROW0(NSProcessInfo, INSTANCE, "operatingSystemVersion", amps_mtl_size),                   /* signedness */
    ROW2(MTLCommandBuffer, PROTOCOL, "addCompletedHandler:", void, amps_block *, amps_id),    /* one too many */
    ROW4(MPSMatrixNeuron, INSTANCE, "setNeuronType:parameterA:parameterB:parameterC:", void, int32_t, double, float,
         float)};

static const value_row wrong_values[] = {{"MPSDataTypeFloat32", ANYMPS_DTYPE_F16}, {"MTLStorageModePrivat", 2}};

int main(int count, char **words)
{
    if (count < 3) {
        fprintf(stderr, "usage: vocabulary golden.tsv nsobject.tsv\n");
        return 2;
    }
    lines = calloc(MOST_LINES, sizeof *lines);
    if (lines == NULL) {
        return 1;
    }
    read_golden(words[1]);
    read_golden(words[2]);
    size_t wrong = 0;
    const size_t message_count = sizeof messages / sizeof messages[0], value_count = sizeof values / sizeof values[0];
    for (size_t i = 0; i < message_count; i++) {
        wrong += message_right(&messages[i], true) ? 0u : 1u;
    }
    for (size_t i = 0; i < value_count; i++) {
        wrong += value_right(&values[i], true) ? 0u : 1u;
    }
    for (size_t i = 0; i < sizeof wrong_messages / sizeof wrong_messages[0]; i++) {
        if (message_right(&wrong_messages[i], false)) {
            printf("the wrong line %zu (%s) was not found\n", i, wrong_messages[i].selector);
            wrong++;
        }
    }
    for (size_t i = 0; i < sizeof wrong_values / sizeof wrong_values[0]; i++) {
        if (value_right(&wrong_values[i], false)) {
            printf("the wrong value %s was not found\n", wrong_values[i].name);
            wrong++;
        }
    }
    printf("%zu messages, %zu values, %zu wrong\n", message_count, value_count, wrong);
    free(lines);
    return wrong == 0 ? 0 : 1;
}
