/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anymps/kernels.h: the operators. One section each: descriptor, create, encode, one-call form.
 *
 * Three steps, as in MPS: `create` fixes the mathematics on a device and is the slow step; `encode`
 * records one use of the kernel on operands; commit and wait run it (command.h). The one-call form does
 * all of it at once, with the kernel taken from a cache in the device.
 *
 * What holds for every operator, said once:
 *
 * Kernels are immutable and free-threaded: any number of threads may encode one kernel at once.
 *
 * Statuses of `create`: INVALID_ARGUMENT (null, `struct_size` not set, unknown option or enum value,
 * a factor or parameter that is not finite, a size missing), UNSUPPORTED (this device lacks the operator or
 * the type combination; never found out later), OUT_OF_MEMORY. Of `encode`: INVALID_ARGUMENT (null, kernel of another operator or device,
 * operand of another device, origin or batch out of range, aliasing, read-only result),
 * SHAPE_MISMATCH (operands do not fit; the message has both numbers and names the operand),
 * INVALID_STATE (command buffer not RECORDING), OUT_OF_MEMORY. Nothing changes on failure. The one-call
 * forms return those of all steps.
 *
 * Types: operands must have exactly the types the kernel was made for. "f32, f16, bf16" means that all
 * operands of the operator have that one type. Sums are formed in f32 at least and rounded to the result
 * type once, at the end, to nearest even; an f16 result beyond 65504 becomes infinity.
 *
 * Aliasing: a result may not overlap an operand, except where a section allows it to be the very same
 * view. Operands may overlap one another. Refused overlaps are INVALID_ARGUMENT.
 *
 * Numbers: NaN and infinity propagate as IEEE 754 says; subnormals are kept on the CPU and may be
 * flushed to zero on a GPU. For a given device, instruction set and library version the same call gives
 * the same bits every time and for every number of threads; only the sign and payload of a NaN to which several
 * lead may depend on that number. Bounds: docs/numerics.md derives them.
 *
 * The examples below are compiled as they stand, in a function that returns a status and has `device`, `queue`
 * and the operands they name; README.md and examples/ have whole programs.
 */
#ifndef ANYMPS_KERNELS_H
#define ANYMPS_KERNELS_H

#include <anymps/command.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "All there is": the default of sizes that may be taken from the operands. */
#define ANYMPS_ALL ((size_t)-1)

/* A prepared operator on one device; immutable; counted. */
typedef struct anymps_kernel anymps_kernel;

/* Options of a kernel, or-ed together. The first has the number of its MPS twin. */
enum {
    /* Allow faster arithmetic with fewer bits than the types promise (TF32, bf16 products of f32
       operands). Off, f32 is f32 on every device. Source: MPSKernelOptionsAllowReducedPrecision. */
    ANYMPS_ALLOW_REDUCED_PRECISION = 2u,
    /* Use only algorithms whose bits repeat from run to run. The CPU always does. */
    ANYMPS_DETERMINISTIC = 0x10000u,
    /* Time every way that this device has to run the operator while the kernel is made, which takes up to seconds, and
       remember the fastest, in this process and in the user's cache directory ($XDG_CACHE_HOME/anymps, else
       ~/.cache/anymps), for all later kernels of the sizes and layout with algorithm AUTO. anymps_kernel_explain says what was found.
       The products (matmul, matrix_vector, fully_connected of given sizes) on CUDA have a choice; elsewhere it does nothing. */
    ANYMPS_MEASURE = 0x20000u
};

/* Whose kernels run an operator, where there is a choice. */
typedef enum anymps_algorithm {
    ANYMPS_ALGORITHM_AUTO = 0,   /* the table of the device says */
    ANYMPS_ALGORITHM_VENDOR = 1, /* MPS on Metal, cuBLASLt on CUDA; UNSUPPORTED where there is none */
    ANYMPS_ALGORITHM_OWN = 2,    /* the kernels of this library */
    ANYMPS_ALGORITHM_FORCE32 = 0x7fffffff
} anymps_algorithm;

/* First row and first column of the part of a stored (untransposed) matrix that takes part. For
   vectors `row` is the first element and `column` must be 0. Source: MTLOrigin {x, y, 0} of MPS. */
typedef struct anymps_origin {
    size_t row;
    size_t column;
} anymps_origin;

/*
 * Which part of the operands one encode works on. NULL in place of it means: from (0, 0), whole batch.
 *
 * A batch runs matrix `batch_start + i` of every operand for i in 0 … batch_size-1. An operand that has
 * one matrix serves every i (broadcast; MPS lacks it). ANYMPS_ALL takes all from `batch_start` on and
 * then every operand must have 1 matrix or as many as the result.
 * Source: primarySourceMatrixOrigin, secondarySourceMatrixOrigin, resultMatrixOrigin, batchStart,
 * batchSize of MPSMatrixBinaryKernel; leftMatrixOrigin … of MPSMatrixMultiplication.
 */
typedef struct anymps_range {
    size_t struct_size;
    anymps_origin primary;   /* of the first operand: left, matrix, source */
    anymps_origin secondary; /* of the second: right, vector, weights */
    anymps_origin result;    /* of the result */
    size_t batch_start;      /* first matrix of the batch */
    size_t batch_size;       /* how many; ANYMPS_ALL: the rest */
} anymps_range;
#define ANYMPS_RANGE_INIT                                                                                              \
    {                                                                                                                  \
        sizeof(anymps_range), {0, 0}, {0, 0}, {0, 0}, 0, ANYMPS_ALL                                                    \
    }

/* Adds a reference and returns `kernel`. NULL stays NULL. Since: 0.1. */
ANYMPS_API anymps_kernel *anymps_kernel_retain(anymps_kernel *kernel);
/* Gives a reference back; NULL is allowed; recorded work keeps the kernel. Since: 0.1. */
ANYMPS_API void anymps_kernel_release(anymps_kernel *kernel);
/* The operator's name, "matmul"; lives for ever. Since: 0.1. */
ANYMPS_API const char *anymps_kernel_operator(const anymps_kernel *kernel);
/* The kernel's device, borrowed. Since: 0.1. */
ANYMPS_API anymps_device *anymps_kernel_device(const anymps_kernel *kernel);
/* What will run, in one line, such as "own f32_gemm_14x32__avx512"; lives as the kernel. Since: 0.1. */
ANYMPS_API const char *anymps_kernel_explain(const anymps_kernel *kernel);

/* The cache of kernels behind the one-call forms, one a device, keyed on every field of the descriptor.
   The entry unused for longest goes when it is full. */
typedef struct anymps_kernel_cache_stats {
    size_t struct_size;
    size_t entries;  /* kernels in the cache now */
    size_t capacity; /* at most so many */
    uint64_t hits;   /* one-call forms that found their kernel */
    uint64_t misses; /* and those that had to make it */
} anymps_kernel_cache_stats;
#define ANYMPS_KERNEL_CACHE_STATS_INIT                                                                                 \
    {                                                                                                                  \
        sizeof(anymps_kernel_cache_stats), 0, 0, 0, 0                                                                  \
    }

/* INVALID_ARGUMENT: null, or `struct_size` not set. Thread-safety: any thread. Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_device_kernel_cache_stats(const anymps_device *device,
                                                                          anymps_kernel_cache_stats *stats);
/* Keeps at most `capacity` kernels from now on (256 at first); 0 turns caching off.
   INVALID_ARGUMENT: null. Thread-safety: any thread. Since: 0.1. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_device_set_kernel_cache_capacity(anymps_device *device,
                                                                                 size_t capacity);

/* ---- matmul ----------------------------------------------------------------------------------- */

/*
 * result = alpha * op(left) * op(right) + beta * result, op the identity or the transpose.
 *
 *     for (i < rows) for (j < columns)
 *         sum = 0;  for (k < interior) sum += op(left)[i][k] * op(right)[k][j];
 *         result[i][j] = alpha * sum + (beta == 0 ? 0 : beta * result[i][j]);
 *
 *     operand   shape from its origin         transposed
 *     left      rows × interior               interior × rows
 *     right     interior × columns            columns × interior
 *     result    rows × columns                –
 *
 * Larger matrices are fine: the origin and these sizes say which part takes part.
 * Types left,right→result: f32,f32→f32 · f16,f16→f16 · f16,f16→f32 · bf16,bf16→bf16 · bf16,bf16→f32 ·
 * i8,i8→f32 · i8,i8→f16 · i8,i8→i32 · i16,i16→f32.
 * Error: |result - exact| ≤ 2·interior·2^-24·(|alpha|·|op(left)|·|op(right)|) + 2^-23·|beta·result|
 * elementwise, plus half a unit in the last place of a result type narrower than f32. i8→i32 with
 * alpha 1 and beta 0 or 1 is exact modulo 2^32; other factors are applied in double and rounded to
 * nearest even, then clamped to the type. alpha and beta act in f32 for floating results.
 * Edge cases: beta 0 does not read the result, an old NaN vanishes; alpha 0 with beta 0 stores zeros
 * unless an operand holds NaN or infinity (0·∞ is NaN, as the formula says); interior 0 gives
 * beta·result; rows or columns 0 does nothing.
 * Aliasing: none.
 * Source: MPSMatrixMultiplication (types bf16, i8→i32 and the broadcast are ours). Since: 0.1.
 *
 * Example:
 *
 *     anymps_matmul_desc desc = ANYMPS_MATMUL_DESC_INIT;      // result = 0.5 * left * right^T, sizes from the operands
 *     desc.transpose_right = true;
 *     desc.alpha = 0.5;
 *     return anymps_matmul(&desc, left, right, result);
 */
typedef struct anymps_matmul_desc {
    size_t struct_size;
    size_t rows;             /* of the result. ANYMPS_ALL, for the one-call form only: from the operands */
    size_t columns;          /* of the result */
    size_t interior;         /* columns of op(left) and rows of op(right) */
    bool transpose_left;     /* the stored left operand is interior × rows */
    bool transpose_right;    /* the stored right operand is columns × interior */
    double alpha;            /* factor of the product; finite */
    double beta;             /* factor of what the result holds; 0: it is not read */
    anymps_dtype left_dtype; /* INVALID, for the one-call form only: from the operands */
    anymps_dtype right_dtype;
    anymps_dtype result_dtype;
    uint32_t options;           /* ANYMPS_ALLOW_REDUCED_PRECISION and so on, or-ed; 0: none */
    anymps_algorithm algorithm; /* whose kernels; AUTO: the device's table says */
} anymps_matmul_desc;
#define ANYMPS_MATMUL_DESC_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(anymps_matmul_desc), ANYMPS_ALL, ANYMPS_ALL, ANYMPS_ALL, false, false, 1.0, 0.0, ANYMPS_DTYPE_INVALID,  \
            ANYMPS_DTYPE_INVALID, ANYMPS_DTYPE_INVALID, 0, ANYMPS_ALGORITHM_AUTO                                       \
    }

/* Create, encode (`range` may be NULL: whole operands) and one-call form (`desc` may be NULL: the defaults) of
   matmul. Statuses: top of this header. Thread-safety: any thread; the command buffer is the caller's. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_matmul_create(anymps_device *device, const anymps_matmul_desc *desc,
                                                              anymps_kernel **kernel);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_matmul_encode(anymps_kernel *kernel,
                                                              anymps_command_buffer *command_buffer,
                                                              anymps_matrix *left, anymps_matrix *right,
                                                              anymps_matrix *result, const anymps_range *range);
/* `desc` may be NULL: result = left * right. Sizes and types that the descriptor leaves open come from
   the operands, which must then fit exactly. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_matmul(const anymps_matmul_desc *desc, anymps_matrix *left,
                                                       anymps_matrix *right, anymps_matrix *result);

/* ---- matrix_vector ---------------------------------------------------------------------------- */

/*
 * result = alpha * op(matrix) * vector + beta * result.
 *
 * `rows` is the result's length, `columns` the vector's, both of op(matrix). Types
 * matrix,vector→result as for matmul. Error and edge cases as for matmul with interior = columns.
 * Vectors of a batch: vectors of the vector objects. Aliasing: none.
 * Source: MPSMatrixVectorMultiplication. Since: 0.1.
 *
 * Example:
 *
 *     anymps_matrix_vector_desc desc = ANYMPS_MATRIX_VECTOR_DESC_INIT;
 *     desc.beta = 1.0;                                        // sum += matrix * vector
 *     return anymps_matrix_vector(&desc, matrix, vector, sum);
 */
typedef struct anymps_matrix_vector_desc {
    size_t struct_size;
    size_t rows; /* ANYMPS_ALL, for the one-call form only: from the operands */
    size_t columns;
    bool transpose;
    double alpha;              /* factor of the product; finite */
    double beta;               /* factor of what the result holds; 0: it is not read */
    anymps_dtype matrix_dtype; /* INVALID, for the one-call form only: from the operands */
    anymps_dtype vector_dtype;
    anymps_dtype result_dtype;
    uint32_t options;           /* ANYMPS_ALLOW_REDUCED_PRECISION and so on, or-ed; 0: none */
    anymps_algorithm algorithm; /* whose kernels; AUTO: the device's table says */
} anymps_matrix_vector_desc;
#define ANYMPS_MATRIX_VECTOR_DESC_INIT                                                                                 \
    {                                                                                                                  \
        sizeof(anymps_matrix_vector_desc), ANYMPS_ALL, ANYMPS_ALL, false, 1.0, 0.0, ANYMPS_DTYPE_INVALID,              \
            ANYMPS_DTYPE_INVALID, ANYMPS_DTYPE_INVALID, 0, ANYMPS_ALGORITHM_AUTO                                       \
    }

/* Create, encode (`range` may be NULL: whole operands) and one-call form (`desc` may be NULL: the defaults) of
   matrix_vector. Statuses: top of this header. Thread-safety: any thread; the command buffer is the caller's. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_matrix_vector_create(anymps_device *device,
                                                                     const anymps_matrix_vector_desc *desc,
                                                                     anymps_kernel **kernel);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_matrix_vector_encode(anymps_kernel *kernel,
                                                                     anymps_command_buffer *command_buffer,
                                                                     anymps_matrix *matrix, anymps_vector *vector,
                                                                     anymps_vector *result, const anymps_range *range);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_matrix_vector(const anymps_matrix_vector_desc *desc,
                                                              anymps_matrix *matrix, anymps_vector *vector,
                                                              anymps_vector *result);

/* ---- neuron functions ------------------------------------------------------------------------- */

/*
 * Activation functions of one value x with parameters a, b, c; the numbers of MPSCNNNeuronType, those
 * from 1000 on are ours. ln and exp are natural.
 * Source: MPSCNNNeuronType.h. Error of each: docs/numerics.md. Since: 0.1.
 */
typedef enum anymps_neuron_type {
    ANYMPS_NEURON_NONE = 0,         /* x */
    ANYMPS_NEURON_RELU = 1,         /* x >= 0 ? x : a*x */
    ANYMPS_NEURON_LINEAR = 2,       /* a*x + b */
    ANYMPS_NEURON_SIGMOID = 3,      /* 1 / (1 + exp(-x)) */
    ANYMPS_NEURON_HARD_SIGMOID = 4, /* min(max(a*x + b, 0), 1) */
    ANYMPS_NEURON_TANH = 5,         /* a * tanh(b*x) */
    ANYMPS_NEURON_ABSOLUTE = 6,     /* |x| */
    ANYMPS_NEURON_SOFT_PLUS = 7,    /* a * ln(1 + exp(b*x)) */
    ANYMPS_NEURON_SOFT_SIGN = 8,    /* x / (1 + |x|) */
    ANYMPS_NEURON_ELU = 9,          /* x >= 0 ? x : a * (exp(x) - 1) */
    ANYMPS_NEURON_PRELU = 10,       /* x >= 0 ? x : a_column * x; a is a vector, one per column */
    ANYMPS_NEURON_RELUN = 11,       /* min(x >= 0 ? x : a*x, b) */
    ANYMPS_NEURON_POWER = 12,       /* (a*x + b) ^ c */
    ANYMPS_NEURON_EXPONENTIAL = 13, /* c ^ (a*x + b) */
    ANYMPS_NEURON_LOGARITHM = 14,   /* log_c(a*x + b) */
    ANYMPS_NEURON_GELU = 15,        /* x * (1 + erf(x / sqrt 2)) / 2 */
    ANYMPS_NEURON_GELU_TANH = 1000, /* x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) / 2 */
    ANYMPS_NEURON_SILU = 1001,      /* x / (1 + exp(-x)) */
    ANYMPS_NEURON_FORCE32 = 0x7fffffff
} anymps_neuron_type;

/* The function's name, "gelu"; "unknown" for a number that is none. Since: 0.1. */
ANYMPS_API const char *anymps_neuron_name(anymps_neuron_type neuron);

/*
 * result = f(alpha * source + bias), column j of every row with bias[j].
 *
 *     operand   shape             may be NULL
 *     source    rows × columns    no
 *     bias      columns           yes: 0
 *     prelu     columns           exactly when the type is not PRELU
 *     result    rows × columns    no; may be the source's very view
 *
 * Types: f32, f16, bf16. Error: 4 units in the last place of f32 on the argument's scale, then one
 * rounding (docs/numerics.md). Source: MPSMatrixNeuron. Since: 0.1.
 *
 * Example:
 *
 *     anymps_neuron_desc desc = ANYMPS_NEURON_DESC_INIT;
 *     desc.neuron = ANYMPS_NEURON_GELU;
 *     return anymps_neuron(&desc, source, NULL, NULL, source); // in place, no bias
 */
typedef struct anymps_neuron_desc {
    size_t struct_size;
    size_t rows;    /* ANYMPS_ALL: what the source's origin leaves */
    size_t columns; /* likewise */
    anymps_neuron_type neuron;
    float a, b, c;              /* the function's parameters, as far as it has them */
    double alpha;               /* factor of its argument; finite */
    anymps_dtype dtype;         /* INVALID, for the one-call form only: from the source */
    uint32_t options;           /* ANYMPS_ALLOW_REDUCED_PRECISION and so on, or-ed; 0: none */
    anymps_algorithm algorithm; /* whose kernels; AUTO: the device's table says */
} anymps_neuron_desc;
#define ANYMPS_NEURON_DESC_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(anymps_neuron_desc), ANYMPS_ALL, ANYMPS_ALL, ANYMPS_NEURON_NONE, 0.0f, 0.0f, 0.0f, 1.0,                 \
            ANYMPS_DTYPE_INVALID, 0, ANYMPS_ALGORITHM_AUTO                                                             \
    }

/* Create, encode (`range` may be NULL: whole operands) and one-call form (`desc` may be NULL: the defaults) of
   neuron. Statuses: top of this header. Thread-safety: any thread; the command buffer is the caller's. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_neuron_create(anymps_device *device, const anymps_neuron_desc *desc,
                                                              anymps_kernel **kernel);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_neuron_encode(anymps_kernel *kernel,
                                                              anymps_command_buffer *command_buffer,
                                                              anymps_matrix *source, anymps_vector *bias,
                                                              anymps_vector *prelu, anymps_matrix *result,
                                                              const anymps_range *range);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_neuron(const anymps_neuron_desc *desc, anymps_matrix *source,
                                                       anymps_vector *bias, anymps_vector *prelu,
                                                       anymps_matrix *result);

/* ---- fully_connected -------------------------------------------------------------------------- */

/*
 * result = f(alpha * source * op(weights) + bias): one layer of a network in one pass.
 *
 *     operand   shape                                        may be NULL
 *     source    rows × inputs                                no
 *     weights   inputs × outputs (transposed: outputs × inputs)   no
 *     bias      outputs                                      yes: 0
 *     prelu     outputs                                      exactly when the type is not PRELU
 *     result    rows × outputs                               no
 *
 * Types: f32, f16, bf16. Error before f: matmul's with interior = inputs, plus 2^-23·|bias|; then f's.
 * Aliasing: none. Source: MPSMatrixFullyConnected (`transpose_weights`, which takes weights as PyTorch
 * stores them, is ours). Since: 0.1.
 *
 * Example:
 *
 *     anymps_fully_connected_desc desc = ANYMPS_FULLY_CONNECTED_DESC_INIT;
 *     desc.transpose_weights = true;                          // as torch.nn.Linear stores them
 *     desc.neuron = ANYMPS_NEURON_SILU;
 *     return anymps_fully_connected(&desc, source, weights, bias, NULL, result);
 */
typedef struct anymps_fully_connected_desc {
    size_t struct_size;
    size_t rows;                /* ANYMPS_ALL: what the source's origin leaves */
    size_t inputs;              /* likewise */
    size_t outputs;             /* ANYMPS_ALL: what the weights' origin leaves */
    bool transpose_weights;     /* stored as outputs × inputs, as PyTorch has them */
    anymps_neuron_type neuron;  /* f; NONE: the identity */
    float a, b, c;              /* the function's parameters, as far as it has them */
    double alpha;               /* factor of its argument; finite */
    anymps_dtype dtype;         /* INVALID, for the one-call form only: from the source */
    uint32_t options;           /* ANYMPS_ALLOW_REDUCED_PRECISION and so on, or-ed; 0: none */
    anymps_algorithm algorithm; /* whose kernels; AUTO: the device's table says */
} anymps_fully_connected_desc;
#define ANYMPS_FULLY_CONNECTED_DESC_INIT                                                                               \
    {                                                                                                                  \
        sizeof(anymps_fully_connected_desc), ANYMPS_ALL, ANYMPS_ALL, ANYMPS_ALL, false, ANYMPS_NEURON_NONE, 0.0f,      \
            0.0f, 0.0f, 1.0, ANYMPS_DTYPE_INVALID, 0, ANYMPS_ALGORITHM_AUTO                                            \
    }

/* Create, encode (`range` may be NULL: whole operands) and one-call form (`desc` may be NULL: the defaults) of
   fully_connected. Statuses: top of this header. Thread-safety: any thread; the command buffer is the caller's. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_fully_connected_create(anymps_device *device,
                                                                       const anymps_fully_connected_desc *desc,
                                                                       anymps_kernel **kernel);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_fully_connected_encode(
    anymps_kernel *kernel, anymps_command_buffer *command_buffer, anymps_matrix *source, anymps_matrix *weights,
    anymps_vector *bias, anymps_vector *prelu, anymps_matrix *result, const anymps_range *range);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_fully_connected(const anymps_fully_connected_desc *desc,
                                                                anymps_matrix *source, anymps_matrix *weights,
                                                                anymps_vector *bias, anymps_vector *prelu,
                                                                anymps_matrix *result);

/* ---- softmax, log_softmax --------------------------------------------------------------------- */

/*
 * softmax:     result[i][j] = exp(s*x[i][j] - m) / sum_k exp(s*x[i][k] - m)
 * log_softmax: result[i][j] = s*x[i][j] - m - ln sum_k exp(s*x[i][k] - m)
 *
 * with s = scale and m = max_k s*x[i][k], the row's maximum, so that no exponent overflows.
 * Shapes: source and result rows × columns; the result may be the source's very view.
 * Types: f32, f16, bf16. Error of softmax: (columns/2 + 8)·2^-24 relative is never exceeded;
 * log_softmax: absolute, (columns/2 + 8)·2^-24·max(1, |result|); then one rounding to the type.
 * Edge cases: a row that holds −inf (also first) is right: 0 there (log: −inf); a row of only −inf, or
 * with +inf or NaN, is NaN throughout the row as the formula says (log likewise). Zero columns: nothing.
 * Source: MPSMatrixSoftMax, MPSMatrixLogSoftMax (`scale` is ours). Since: 0.1.
 *
 * Example:
 *
 *     anymps_softmax_desc desc = ANYMPS_SOFTMAX_DESC_INIT;
 *     desc.scale = 0.125;                                     // 1/sqrt(64): attention of heads of 64
 *     return anymps_softmax(&desc, source, source);           // in place
 */
typedef struct anymps_softmax_desc {
    size_t struct_size;
    size_t rows;                /* ANYMPS_ALL: what the source's origin leaves */
    size_t columns;             /* likewise */
    double scale;               /* factor of every element before the exponential; finite */
    anymps_dtype dtype;         /* INVALID, for the one-call form only: from the source */
    uint32_t options;           /* ANYMPS_ALLOW_REDUCED_PRECISION and so on, or-ed; 0: none */
    anymps_algorithm algorithm; /* whose kernels; AUTO: the device's table says */
} anymps_softmax_desc;
#define ANYMPS_SOFTMAX_DESC_INIT                                                                                       \
    {                                                                                                                  \
        sizeof(anymps_softmax_desc), ANYMPS_ALL, ANYMPS_ALL, 1.0, ANYMPS_DTYPE_INVALID, 0, ANYMPS_ALGORITHM_AUTO       \
    }

/* Create, encode (`range` may be NULL: whole operands) and one-call form (`desc` may be NULL: the defaults) of
   softmax. Statuses: top of this header. Thread-safety: any thread; the command buffer is the caller's. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_softmax_create(anymps_device *device, const anymps_softmax_desc *desc,
                                                               anymps_kernel **kernel);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_softmax_encode(anymps_kernel *kernel,
                                                               anymps_command_buffer *command_buffer,
                                                               anymps_matrix *source, anymps_matrix *result,
                                                               const anymps_range *range);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_softmax(const anymps_softmax_desc *desc, anymps_matrix *source,
                                                        anymps_matrix *result);

/* Create, encode (`range` may be NULL: whole operands) and one-call form (`desc` may be NULL: the defaults) of
   log_softmax. Statuses: top of this header. Thread-safety: any thread; the command buffer is the caller's. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_log_softmax_create(anymps_device *device,
                                                                   const anymps_softmax_desc *desc,
                                                                   anymps_kernel **kernel);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_log_softmax_encode(anymps_kernel *kernel,
                                                                   anymps_command_buffer *command_buffer,
                                                                   anymps_matrix *source, anymps_matrix *result,
                                                                   const anymps_range *range);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_log_softmax(const anymps_softmax_desc *desc, anymps_matrix *source,
                                                            anymps_matrix *result);

/* ---- rms_norm, layer_norm --------------------------------------------------------------------- */

/*
 * With x = source + residual (the sum is rounded to the type and written back into `residual`):
 *
 * rms_norm:   result[i][j] = x[i][j] / sqrt(mean_k x[i][k]^2 + epsilon) * weight[j] + bias[j]
 * layer_norm: result[i][j] = (x[i][j] - mu_i) / sqrt(mean_k (x[i][k] - mu_i)^2 + epsilon)
 *                            * weight[j] + bias[j],  mu_i = mean_k x[i][k]
 *
 *     operand    shape            may be NULL
 *     source     rows × columns   no
 *     residual   rows × columns   yes: not added; else read and written, same origin as the source
 *     weight     columns          yes: 1
 *     bias       columns          yes: 0
 *     result     rows × columns   no; may be the source's or the residual's very view (with the
 *                                 residual's, the result is what stays)
 *
 * Types: f32, f16, bf16. Error against the exact value on the rounded sum x, per element:
 * (columns/2 + 8)·2^-24·(|normalized·weight| + |bias|) for rms_norm; for layer_norm the subtraction of
 * mu adds (columns/2 + 8)·2^-24·max_k|x|/sigma·|weight|; then one rounding to the type. The squares are
 * summed so that no f16 or f32 intermediate overflows while the row's mean square is a finite f32.
 * Edge cases: a row of zeros gives bias (0/sqrt(epsilon)); epsilon 0 with it gives NaN. Columns 0:
 * nothing. Source: ours; MPS has neither (RMSNorm: Zhang and Sennrich 2019, arXiv 1910.07467; layer
 * norm: Ba et al. 2016, arXiv 1607.06450). Since: 0.1.
 *
 * Example:
 *
 *     anymps_norm_desc desc = ANYMPS_NORM_DESC_INIT;          // residual += source; result = rms_norm(residual) * weight
 *     desc.epsilon = 1e-6;
 *     return anymps_rms_norm(&desc, source, residual, weight, NULL, result);
 */
typedef struct anymps_norm_desc {
    size_t struct_size;
    size_t rows;                /* ANYMPS_ALL: what the source's origin leaves */
    size_t columns;             /* likewise */
    double epsilon;             /* >= 0 */
    anymps_dtype dtype;         /* INVALID, for the one-call form only: from the source */
    uint32_t options;           /* ANYMPS_ALLOW_REDUCED_PRECISION and so on, or-ed; 0: none */
    anymps_algorithm algorithm; /* whose kernels; AUTO: the device's table says */
} anymps_norm_desc;
#define ANYMPS_NORM_DESC_INIT                                                                                          \
    {                                                                                                                  \
        sizeof(anymps_norm_desc), ANYMPS_ALL, ANYMPS_ALL, 1e-5, ANYMPS_DTYPE_INVALID, 0, ANYMPS_ALGORITHM_AUTO         \
    }

/* Create, encode (`range` may be NULL: whole operands) and one-call form (`desc` may be NULL: the defaults) of
   rms_norm. Statuses: top of this header. Thread-safety: any thread; the command buffer is the caller's. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_rms_norm_create(anymps_device *device, const anymps_norm_desc *desc,
                                                                anymps_kernel **kernel);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_rms_norm_encode(anymps_kernel *kernel,
                                                                anymps_command_buffer *command_buffer,
                                                                anymps_matrix *source, anymps_matrix *residual,
                                                                anymps_vector *weight, anymps_vector *bias,
                                                                anymps_matrix *result, const anymps_range *range);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_rms_norm(const anymps_norm_desc *desc, anymps_matrix *source,
                                                         anymps_matrix *residual, anymps_vector *weight,
                                                         anymps_vector *bias, anymps_matrix *result);

/* Create, encode (`range` may be NULL: whole operands) and one-call form (`desc` may be NULL: the defaults) of
   layer_norm. Statuses: top of this header. Thread-safety: any thread; the command buffer is the caller's. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_layer_norm_create(anymps_device *device, const anymps_norm_desc *desc,
                                                                  anymps_kernel **kernel);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_layer_norm_encode(anymps_kernel *kernel,
                                                                  anymps_command_buffer *command_buffer,
                                                                  anymps_matrix *source, anymps_matrix *residual,
                                                                  anymps_vector *weight, anymps_vector *bias,
                                                                  anymps_matrix *result, const anymps_range *range);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_layer_norm(const anymps_norm_desc *desc, anymps_matrix *source,
                                                           anymps_matrix *residual, anymps_vector *weight,
                                                           anymps_vector *bias, anymps_matrix *result);

/* ---- lora ------------------------------------------------------------------------------------- */

/*
 * result = [result +] source * op(weights) + scale * (source * op(down)) * op(up)
 *
 *     operand   shape              transposed        may be NULL
 *     source    rows × inputs      –                 no
 *     weights   inputs × outputs   outputs × inputs  yes: no base product
 *     down      inputs × rank      rank × inputs     no   (A of the paper)
 *     up        rank × outputs     outputs × rank    no   (B of the paper)
 *     result    rows × outputs     –                 no
 *
 * All sizes come from the operands at encode and must fit exactly (from the origins). Rank may be
 * anything; up to 256 is one pass. The product source*down is kept in f32, never rounded between.
 * Types: f32, f16, bf16. Error: 2·inputs·2^-24·|source|·|weights|
 * + 2·(inputs + rank)·2^-24·|scale|·|source|·|down|·|up| elementwise, one rounding to the type.
 * Aliasing: none. `secondary` of the range is the origin in `weights`.
 * Source: ours; MPS has none (Hu et al. 2021, arXiv 2106.09685). Since: 0.1.
 *
 * Example:
 *
 *     anymps_lora_desc desc = ANYMPS_LORA_DESC_INIT;          // result += scale * (source * down) * up
 *     desc.scale = 16.0 / 8.0;                                // alpha / rank
 *     desc.accumulate = true;                                 // onto the frozen layer's output
 *     return anymps_lora(&desc, source, NULL, down, up, result);
 */
typedef struct anymps_lora_desc {
    size_t struct_size;
    double scale;               /* alpha / rank of the paper; finite */
    bool accumulate;            /* add to what the result holds; else the result is not read */
    bool transpose_weights;     /* stored as outputs × inputs, as PyTorch has them */
    bool transpose_down;        /* stored as rank × inputs */
    bool transpose_up;          /* stored as outputs × rank */
    anymps_dtype dtype;         /* INVALID, for the one-call form only: from the source */
    uint32_t options;           /* ANYMPS_ALLOW_REDUCED_PRECISION and so on, or-ed; 0: none */
    anymps_algorithm algorithm; /* whose kernels; AUTO: the device's table says */
} anymps_lora_desc;
#define ANYMPS_LORA_DESC_INIT                                                                                          \
    {                                                                                                                  \
        sizeof(anymps_lora_desc), 1.0, false, false, false, false, ANYMPS_DTYPE_INVALID, 0, ANYMPS_ALGORITHM_AUTO      \
    }

/* Create, encode (`range` may be NULL: whole operands) and one-call form (`desc` may be NULL: the defaults) of
   lora. Statuses: top of this header. Thread-safety: any thread; the command buffer is the caller's. */
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_lora_create(anymps_device *device, const anymps_lora_desc *desc,
                                                            anymps_kernel **kernel);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_lora_encode(anymps_kernel *kernel,
                                                            anymps_command_buffer *command_buffer,
                                                            anymps_matrix *source, anymps_matrix *weights,
                                                            anymps_matrix *down, anymps_matrix *up,
                                                            anymps_matrix *result, const anymps_range *range);
ANYMPS_API ANYMPS_MUST_USE anymps_status anymps_lora(const anymps_lora_desc *desc, anymps_matrix *source,
                                                     anymps_matrix *weights, anymps_matrix *down, anymps_matrix *up,
                                                     anymps_matrix *result);

#ifdef __cplusplus
}
#endif

#endif /* ANYMPS_KERNELS_H */
