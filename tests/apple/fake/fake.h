/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake.h: what a test may ask of and tell the stand-in for Metal, in plain C.
 *
 * The stand-in is a shared object that the Metal backend opens by path. A test program opens the same file
 * once more and looks these names up (fake_client.h does it). The backend never sees this header.
 */
#ifndef FAKE_H
#define FAKE_H

#include <stddef.h>
#include <stdint.h>

/* Since the process began. `messages` and `objects_made` count what the calling thread did. */
typedef struct fake_counts {
    uint64_t messages;          /* through objc_msgSend and objc_msgSend_stret */
    uint64_t objects_made;      /* by this thread, inside the stand-in included */
    uint64_t objects_live;      /* of the process */
    uint64_t command_buffers;   /* made by the process */
    uint64_t commits;           /* of the process */
    uint64_t mps_encodes;       /* MPS kernels encoded, of the process */
    uint64_t dispatches;        /* compute dispatches encoded, of the process */
    uint64_t buffer_bytes_live; /* of all buffers, of the process */
} fake_counts;

/* What the stand-in does beyond computing. All off (0) at first unless a variable of the environment says so. */
typedef enum fake_option {
    FAKE_DELAY_US,      /* before a committed buffer runs (FAKE_METAL_DELAY_US; 50 at first) */
    FAKE_LINGER_US,     /* from a buffer's handlers to its release by the queue's thread, for which nobody who waits
                           for a handler waits (FAKE_METAL_LINGER_US) */
    FAKE_EMPTY_KERNELS, /* work is recorded, checked and never computed: for measuring the host side
                           (FAKE_METAL_EMPTY) */
    FAKE_SILENT,        /* messages are counted and do nothing but answer with their receiver, and a commit tells its
                           handler at once: what is left of a second commit's time is the library's own */
    FAKE_FAIL_CREATE,   /* n > 0: the n-th creation from now gives nil; 0: none. Counts down to 0 */
    FAKE_FAIL_COMMIT,   /* n > 0: the n-th commit from now ends with an error; its work does not run */
    FAKE_ERROR_CODE,    /* the MTLCommandBufferError of that failure (1: internal, 8: memory, 11: removed) */
    FAKE_MPS_SUPPORT,   /* 1: MPSSupportsMTLDevice says yes (1 at first; FAKE_METAL_NO_MPS=1: 0) */
    FAKE_FAMILY,        /* highest Apple family answered yes to, 1007 … (FAKE_METAL_FAMILY; 1009 at first) */
    FAKE_OS_MAJOR,      /* NSProcessInfo (FAKE_METAL_OS, "14.4"; 15.0 at first) */
    FAKE_OS_MINOR,
    FAKE_THREAD_ORDER, /* of shader threads: 0 ascending, 1 descending, else a seed (FAKE_METAL_ORDER) */
    FAKE_MAX_BUFFER,   /* maxBufferLength, bytes (2^32 at first) */
    FAKE_DEFECTS,      /* which known defects MPS shows, a sum of fake_defect (FAKE_METAL_DEFECTS) */
    FAKE_OPTION_COUNT
} fake_option;

/* Defects that users report of some machine or version; the library must be right all the same. */
typedef enum fake_defect {
    FAKE_DEFECT_SOFTMAX_INFINITY = 1, /* a row that begins with -inf comes out as NaN */
    FAKE_DEFECT_BETA_ZERO_READS = 2,  /* beta 0 multiplies what the result holds */
    FAKE_DEFECT_F32_REDUCED = 4,      /* f32 factors are cut to 10 bits of fraction */
    FAKE_DEFECT_COARSE_NEURONS = 16,  /* tanh, soft plus and ELU are off by 3e-4 near 0 */
    FAKE_DEFECT_LOG_UNDERFLOW = 32,   /* log_softmax is the logarithm of softmax: -inf where that is 0 */
    FAKE_DEFECT_SLICED_RESULT = 8     /* a result narrower than its rows is written as if it were as wide */
} fake_defect;

fake_counts fake_get_counts(void);
void fake_set(fake_option option, uint64_t value);
uint64_t fake_get(fake_option option);

/* Returns once the queues' threads hold nothing of what was committed: counts of living objects are exact then. */
void fake_settle(void);

/* Writes "class count" lines of what is alive into `text`; returns how many objects. */
size_t fake_describe_live(char *text, size_t size);

#endif /* FAKE_H */
