/* Reel: tensors, a tape, and gradients that can be trusted.
 *
 * SPDX-License-Identifier: MIT
 *
 * A tape records every operation as it runs. You record on it, take gradients (which are recorded
 * too, so gradients of gradients need nothing new), rewind it, and play a stretch of it again.
 *
 * Ownership.  A tape owns all that is recorded on it: values, gradients, names, scratch memory.
 *   reel_tape_free() frees everything at once and there is nothing else to free. A reel_tensor is a
 *   small value (a handle), copied freely; one that was rewound past, or that belongs to another
 *   tape, is recognised and refused.
 *
 * Errors.  Nothing here aborts or prints unasked. The tape keeps the first error; the call that failed
 *   and every later call on that tape return a failed handle (or false, or NULL) and change nothing.
 *   So a whole training step can be written without a check and asked once, with reel_failed(), at
 *   its end. Only a call whose every tensor is REEL_NONE has no tape to tell. In messages inputs count
 *   from 1, rows, elements and axes from 0. One exception is outside our hands: BLIS, whose inner loops
 *   multiply the matrices, aborts where its start (some 70 KB, once a process) finds no memory; we make sure
 *   that there is more first.
 *
 * Promises.  The same program, seed and inputs give the same bits, with any number of threads.
 *   After the first step a training step makes no call to the allocator. A tape belongs to one
 *   thread at a time; any number of tapes may run side by side.
 *
 * Global state.  BLIS is started once a process, behind a once-control and a mutex, and before that we set
 *   BLIS_ARCH_TYPE in the environment (Debian's BLIS 0.9 takes CPUs younger than itself for older or
 *   generic ones); a value that you have set is left alone. Nothing else outlives a tape.
 *
 * Stack.  A matrix product takes 300 KB of its thread's stack; all else stays under 64 KB.
 *
 * Versions.  Every option struct begins with its size, and may be of an older reel.h than the library (what
 *   it does not have is 0, which always stands for what the older version did) or of a newer one (what the
 *   library does not have is passed over). One with a size of 0 is empty, and so is NULL: such a call fails.
 *
 * Most calls are macros that pass the caller's file and line to a function of the same name with
 * "_at" behind it, so that an error can name the line that caused it. Other languages call those functions, and
 * C++ where arguments have names: see the end.
 */
#ifndef REEL_H
#define REEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REEL_VERSION_MAJOR 0
#define REEL_VERSION_MINOR 1
#define REEL_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define REEL_API __attribute__((visibility("default")))
#else
#define REEL_API
#endif

#define REEL_PLACE const char *file, int line       /* the caller's place, in every declaration   */
#define REEL_HERE  __FILE__, __LINE__               /* ... and in every call                      */

/* The library's version, "MAJOR.MINOR.PATCH". A static string. */
REEL_API const char *reel_version(void);


/* ---- Numbers and shapes ------------------------------------------------------------------------ */

enum { REEL_MAX_RANK = 8 };

typedef enum reel_dtype {
    REEL_NO_DTYPE,
    REEL_F16,                                       /* IEEE 754 binary16                          */
    REEL_BF16,                                      /* the upper half of binary32                 */
    REEL_F32,
    REEL_F64,
    REEL_I32,
    REEL_I64,
    REEL_U8,
    REEL_DTYPES                                     /* how many there are, REEL_NO_DTYPE included */
} reel_dtype;

REEL_API const char *reel_dtype_name(reel_dtype dtype);     /* "f32"; "none" for what is no dtype  */
REEL_API size_t      reel_dtype_size(reel_dtype dtype);     /* bytes of one element; 0 for no dtype */
REEL_API bool        reel_dtype_is_float(reel_dtype dtype); /* f16, bf16, f32, f64                  */

/* Shape: rank 0 (a scalar) to 8. A size of 0 is legal: such a tensor has no elements. */
typedef struct reel_shape {
    int     rank;
    int64_t size[REEL_MAX_RANK];
} reel_shape;

/* A shape from an array of `rank` sizes. A rank that is too large is kept, for the call that gets the
 * shape to refuse. */
REEL_API reel_shape reel_make_shape(int rank, const int64_t *size);

/* REEL_SHAPE(2, 3) is a matrix of two rows and three columns, REEL_SHAPE() a scalar. */
#define REEL_SHAPE(...)                                                                              \
    reel_make_shape((int)(sizeof((const int64_t[]){0, __VA_ARGS__}) / sizeof(int64_t)) - 1,            \
                  (const int64_t[]){0, __VA_ARGS__} + 1)

/* Some numbers of one dtype to fill a tensor with; it knows their dtype and their count, so that a list
 * of the wrong length is an error and not a read past the end. `data` is only read during the call. */
typedef struct reel_values {
    const void *data;
    size_t      count;                              /* elements; REEL_REPEAT: one, for all elements */
    reel_dtype  from;                               /* dtype of the numbers at `data`               */
    reel_dtype  to;                                 /* dtype of the tensor they become              */
    double      repeat;                             /* the one number, where count is REEL_REPEAT   */
} reel_values;

#define REEL_REPEAT ((size_t)-1)

/* `count` numbers of `dtype` at `data`, for a tensor of the same dtype. */
REEL_API reel_values reel_values_of(reel_dtype dtype, const void *data, size_t count);

/* Every element is `value`, rounded to `dtype`. reel_fill(REEL_F32, 0) makes zeros. */
REEL_API reel_values reel_fill(reel_dtype dtype, double value);

/* `count` doubles at `data`, rounded once to `dtype`. */
REEL_API reel_values reel_values_from_f64(reel_dtype dtype, const double *data, size_t count);

#define REEL_LIST_(type, ...)                                                                        \
    (const type[]){__VA_ARGS__}, sizeof((const type[]){__VA_ARGS__}) / sizeof(type)
#define REEL_F32_VALUES(...)  reel_values_of(REEL_F32, REEL_LIST_(float, __VA_ARGS__))
#define REEL_F64_VALUES(...)  reel_values_of(REEL_F64, REEL_LIST_(double, __VA_ARGS__))
#define REEL_I32_VALUES(...)  reel_values_of(REEL_I32, REEL_LIST_(int32_t, __VA_ARGS__))
#define REEL_I64_VALUES(...)  reel_values_of(REEL_I64, REEL_LIST_(int64_t, __VA_ARGS__))
#define REEL_U8_VALUES(...)   reel_values_of(REEL_U8, REEL_LIST_(uint8_t, __VA_ARGS__))
#define REEL_F16_VALUES(...)  reel_values_from_f64(REEL_F16, REEL_LIST_(double, __VA_ARGS__))
#define REEL_BF16_VALUES(...) reel_values_from_f64(REEL_BF16, REEL_LIST_(double, __VA_ARGS__))


/* ---- Tensors and tapes ------------------------------------------------------------------------- */

/* Opaque. */
typedef struct reel_tape reel_tape;

/* A handle to one value on a tape. All zeros is "none"; {tape, 0, 0} is what a failed call returns. */
typedef struct reel_tensor {
    reel_tape *tape;
    uint32_t   node;
    uint32_t   generation;
} reel_tensor;

#define REEL_NONE ((reel_tensor){NULL, 0, 0})

/* A list of handles; only read during the call. */
typedef struct reel_tensors {
    const reel_tensor *tensor;
    size_t             count;
} reel_tensors;

/* REEL_TENSORS(a, b) is a list of two, which lives as long as the block that it is written in. */
REEL_API reel_tensors reel_tensors_of(const reel_tensor *tensor, size_t count);

#define REEL_TENSORS(...) reel_tensors_of(REEL_LIST_(reel_tensor, __VA_ARGS__))

/* No value has this type: it stands where a positional argument would land in a call that takes named
 * arguments only, so that such a call does not compile. */
struct reel_use_named_arguments;

/* An option struct for the function behind a macro: reel_sum_at(file, line, REEL_OPTIONS(reel_reduce_options,
 * .x = x)). What is not named is 0. It lives as long as the block that it is written in. */
#define REEL_OPTIONS(type, ...) (&(const type){.size = sizeof(type), __VA_ARGS__})

/* One function does all allocation, the way Lua's does: new_size 0 frees; a NULL pointer allocates;
 * otherwise it reallocates. It is told the old size. It returns NULL on failure, leaving the old
 * memory as it was. Returned memory is aligned to 16 bytes. */
typedef void *(*reel_allocator)(void *user, void *pointer, size_t old_size, size_t new_size);

/* What NULL stands for wherever an allocator is asked for, and what one that only counts can call: the C library's
 * memory, in large pages where 2 MiB or more are asked for and the system has them. `user` may be anything. */
REEL_API void *reel_standard_allocator(void *user, void *pointer, size_t old_size, size_t new_size);

/* The files that Reel touches, and its printed output, go through this table. Each function returns
 * a negative errno value on failure. NULL members take the standard ones, and so do those that a smaller
 * `size` leaves out. */
typedef struct reel_io {
    size_t  size;                                   /* sizeof(reel_io)                             */
    void   *user;                                   /* handed to each function                     */
    int     (*open)(void *user, const char *path, bool writing);            /* >= 0: a file        */
    int64_t (*length)(void *user, int file);        /* bytes in a regular file                     */
    int64_t (*read)(void *user, int file, void *buffer, size_t bytes);      /* 0: the end          */
    int64_t (*write)(void *user, int file, const void *buffer, size_t bytes);
    int     (*close)(void *user, int file);
    int     (*create)(void *user, const char *path);        /* >= 0: a new file; -EEXIST where one is */
    int     (*sync)(void *user, int file);          /* returns when what was written will last     */
    int     (*rename)(void *user, const char *from, const char *to);        /* in place of `to`    */
    int     (*remove)(void *user, const char *path);
    int     (*sync_folder)(void *user, const char *path);   /* the same as sync, for the names in the
                                                               folder that `path` is in            */
    int     (*map)(void *user, int file, size_t bytes, void **memory);      /* a file's first bytes (not 0
                                                               of them) as memory to read, on a page's edge;
                                                               it stays when the file is closed    */
    int     (*unmap)(void *user, void *memory, size_t bytes);
} reel_io;

/* The standard table: POSIX files; file 1 is standard output, file 2 standard error. */
REEL_API const reel_io *reel_io_standard(void);

/* A table with the standard functions where the given one has none, because its members are NULL, or it is
 * smaller (of an earlier version), or it is NULL itself. Only map() and unmap() stay NULL in a table that opens
 * files in its own way: the standard ones would not know its files. */
REEL_API reel_io reel_io_complete(const reel_io *io);

typedef struct reel_tape_options {
    size_t         size;
    struct reel_use_named_arguments *named_arguments_only_;
    reel_allocator allocator;                       /* NULL: reel_standard_allocator()             */
    void          *allocator_user;
    const reel_io *io;                              /* NULL: the standard table; it outlives the tape */
    size_t         memory_cap;                      /* bytes held at once; 0: no cap               */
    int            threads;                         /* 1 to 256; 0 stands for 1                    */
    uint64_t       seed;                            /* of reel_random_*()                          */
    bool           each_request;                    /* every request is a call of its own to the
                                                       allocator: slow, for tests that fail each one */
    const char   **why;                             /* if not NULL, set to the reason why there is no tape, a
                                                       static string; to "" where there is one     */
} reel_tape_options;

/* A new, empty tape, or NULL where memory is short or an option makes no sense (`.why = &text` asks for the
 * reason; a wrong `size` gives none). Free it with reel_tape_free(). */
#define reel_tape_new() reel_tape_new_with()
#define reel_tape_new_with(...) reel_tape_new_options(REEL_OPTIONS(reel_tape_options, __VA_ARGS__))
REEL_API reel_tape *reel_tape_new_options(const reel_tape_options *options);

/* Frees the tape and all that is on it. NULL is fine. */
REEL_API void reel_tape_free(reel_tape *tape);

typedef struct reel_statistics {
    size_t   bytes_held;                            /* from the allocator, now                     */
    size_t   bytes_peak;                            /* ... at most                                 */
    size_t   bytes_used;                            /* of the values and records on the tape       */
    uint64_t allocator_calls;                       /* since the tape was made                     */
    size_t   nodes;                                 /* on the tape now                             */
    size_t   node_bytes;                            /* of one node's record                        */
} reel_statistics;

REEL_API reel_statistics reel_tape_statistics(const reel_tape *tape);     /* zeros for NULL       */
REEL_API int             reel_tape_threads(const reel_tape *tape);        /* 0 for NULL           */


/* ---- Errors ------------------------------------------------------------------------------------ */

/* Whether an error has happened that was not cleared. True for NULL. */
REEL_API bool reel_failed(const reel_tape *tape);

/* One line: the caller's place, the op, and what is wrong, with names, shapes and dtypes. "" where
 * nothing failed. Owned by the tape and valid until the next error. */
REEL_API const char *reel_error_message(const reel_tape *tape);

/* Clears the error, once the tape has been rewound to a mark made before it; otherwise it changes
 * nothing and returns false. */
REEL_API bool reel_error_clear(reel_tape *tape);

/* Puts an error of the caller's own on the tape, unless one is there. `format` is that of printf. */
REEL_API void reel_error_set_at(REEL_PLACE, reel_tape *tape, const char *format, ...);
#define reel_error_set(...) reel_error_set_at(REEL_HERE, __VA_ARGS__)


/* ---- Leaves: where numbers come from ------------------------------------------------------------ */

/* A tensor that gradients can be taken into; the values are copied. Floating dtypes only. */
REEL_API reel_tensor reel_variable_at(REEL_PLACE, reel_tape *tape, reel_shape shape, reel_values values);
#define reel_variable(...) reel_variable_at(REEL_HERE, __VA_ARGS__)

/* A tensor without a gradient; the values are copied. Any dtype. */
REEL_API reel_tensor reel_constant_at(REEL_PLACE, reel_tape *tape, reel_shape shape, reel_values values);
#define reel_constant(...) reel_constant_at(REEL_HERE, __VA_ARGS__)

typedef struct reel_wrap_options {
    size_t         size;
    reel_tape     *tape;
    struct reel_use_named_arguments *named_arguments_only_;
    reel_dtype     dtype;
    reel_shape     shape;
    void          *data;                            /* the first element                           */
    const int64_t *strides;                         /* in elements, one a dimension; NULL: contiguous,
                                                       the last dimension fastest                  */
    bool           variable;                        /* gradients can be taken into it              */
} reel_wrap_options;

/* The caller's own memory as a tensor, without a copy: reel_wrap(tape, .dtype = REEL_U8, .shape = ..., .data =
 * ...). Nothing can check that there is as much memory as the shape and the dtype say. It must be
 * aligned for its dtype and outlive the tape, or be re-aimed with reel_point() before the next use. Strides
 * may be zero or overlap; then nothing may write through it. */
REEL_API reel_tensor reel_wrap_at(REEL_PLACE, const reel_wrap_options *options);
#define reel_wrap(...) reel_wrap_at(REEL_HERE, REEL_OPTIONS(reel_wrap_options, .tape = __VA_ARGS__))

/* Re-aims a wrapped tensor at other memory of the same dtype, shape and strides. Values computed from
 * it stay as they are until a replay. */
REEL_API bool reel_point_at(REEL_PLACE, reel_tensor wrapped, void *data);
#define reel_point(...) reel_point_at(REEL_HERE, __VA_ARGS__)

/* Leaves of random numbers, from the tape's own generator (Philox-4x32-10; Salmon et al., "Parallel
 * random numbers: as easy as 1, 2, 3", 2011): uniform in [low, high), or normal. Variables. */
REEL_API reel_tensor reel_random_uniform_at(REEL_PLACE, reel_tape *tape, reel_shape shape, reel_dtype dtype,
                                            double low, double high);
#define reel_random_uniform(...) reel_random_uniform_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_random_normal_at(REEL_PLACE, reel_tape *tape, reel_shape shape, reel_dtype dtype,
                                           double mean, double deviation);
#define reel_random_normal(...) reel_random_normal_at(REEL_HERE, __VA_ARGS__)

/* The generator itself: 128 random bits, a function of a key and a counter alone. The tape's own numbers have
 * its seed as the key, lower word first, and counters whose last two words are 0. */
REEL_API void reel_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);


/* ---- Looking at tensors, copying in and out ------------------------------------------------------ */

REEL_API reel_dtype  reel_dtype_of(reel_tensor x);  /* REEL_NO_DTYPE for a handle that is not valid */
REEL_API reel_shape  reel_shape_of(reel_tensor x);  /* rank -1 for a handle that is not valid       */
REEL_API int64_t     reel_count(reel_tensor x);     /* elements; -1 for a handle that is not valid  */
REEL_API bool        reel_is_valid(reel_tensor x);  /* on its tape, not rewound past, not failed    */

/* Gives x a name, for messages and prints; it returns x. The name is copied, once for each different text. */
REEL_API reel_tensor reel_name(reel_tensor x, const char *name);
REEL_API const char *reel_name_of(reel_tensor x);   /* "" where it has none                         */

/* x in a few words for a message, such as: "truth" [4,2] f32 */
typedef struct reel_description {
    char text[160];
} reel_description;
REEL_API reel_description reel_describe(reel_tensor x);

/* Copies x out, last dimension fastest; `bytes` must be its number of elements times the dtype's size. False, with an
 * error and the buffer as it was, where x cannot be read. */
REEL_API bool reel_read_at(REEL_PLACE, reel_tensor x, void *buffer, size_t bytes);
#define reel_read(...) reel_read_at(REEL_HERE, __VA_ARGS__)

/* The same, converted to double; `count` is the number of elements. */
REEL_API bool reel_read_f64_at(REEL_PLACE, reel_tensor x, double *buffer, size_t count);
#define reel_read_f64(...) reel_read_f64_at(REEL_HERE, __VA_ARGS__)

/* The value of a tensor of one element; NaN (and an error on the tape) for others. */
REEL_API double reel_item_at(REEL_PLACE, reel_tensor x);
#define reel_item(...) reel_item_at(REEL_HERE, __VA_ARGS__)

/* Copies values into a leaf. Values computed from it stay as they are until a replay, and a gradient
 * through them is refused from here on, since it would mix old values and new. */
REEL_API bool reel_write_at(REEL_PLACE, reel_tensor leaf, reel_values values);
#define reel_write(...) reel_write_at(REEL_HERE, __VA_ARGS__)

/* The first element of x in memory, or NULL. Read only; valid until x is rewound past. The strides
 * are those of reel_strides_of(), in elements; they are the usual ones unless x is a view. */
REEL_API const void *reel_data(reel_tensor x);
REEL_API void        reel_strides_of(reel_tensor x, int64_t strides[REEL_MAX_RANK]);

/* (Printing goes past the buffer of stdio: call fflush(stdout) first where you mix it with printf.)
 * Prints x the way NumPy does, with the shortest digits that read back the same, and a newline. */
REEL_API bool reel_print_at(REEL_PLACE, reel_tensor x);
#define reel_print(...) reel_print_at(REEL_HERE, __VA_ARGS__)

/* The same text into a buffer of `bytes`, always closed with a 0. Returns the length of the whole text
 * without the 0; if that is not less than `bytes`, the text was cut. */
REEL_API size_t reel_format(reel_tensor x, char *buffer, size_t bytes);


/* ---- Ops ---------------------------------------------------------------------------------------- */

/* Elementwise, with NumPy's broadcasting: shapes are aligned at their last dimension, and a size of 1
 * (or a missing dimension) stretches. Both operands have the same dtype; nothing is cast silently. */
#define REEL_BINARY_(name) REEL_API reel_tensor reel_##name##_at(REEL_PLACE, reel_tensor a, reel_tensor b)
#define REEL_UNARY_(name)  REEL_API reel_tensor reel_##name##_at(REEL_PLACE, reel_tensor x)

REEL_BINARY_(add);                                  /* a + b            every dtype; integers wrap */
#define reel_add(...)     reel_add_at(REEL_HERE, __VA_ARGS__)
REEL_BINARY_(sub);                                  /* a - b                                       */
#define reel_sub(...)     reel_sub_at(REEL_HERE, __VA_ARGS__)
REEL_BINARY_(mul);                                  /* a b                                         */
#define reel_mul(...)     reel_mul_at(REEL_HERE, __VA_ARGS__)
REEL_BINARY_(div);                                  /* a / b            floating dtypes            */
#define reel_div(...)     reel_div_at(REEL_HERE, __VA_ARGS__)
REEL_BINARY_(maximum);                              /* max(a, b)        NaN if either is; at a tie the
                                                       gradient is shared by halves                */
#define reel_maximum(...) reel_maximum_at(REEL_HERE, __VA_ARGS__)
REEL_BINARY_(minimum);                              /* min(a, b)        likewise                   */
#define reel_minimum(...) reel_minimum_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(neg);                                   /* -x               not for u8                 */
#define reel_neg(...)     reel_neg_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(exp);                                   /* e^x              floating dtypes            */
#define reel_exp(...)     reel_exp_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(log);                                   /* ln x             floating dtypes            */
#define reel_log(...)     reel_log_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(relu);                                  /* max(x, 0)        gradient 0 at 0            */
#define reel_relu(...)    reel_relu_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(tanh);                                  /* tanh x           floating dtypes            */
#define reel_tanh(...)    reel_tanh_at(REEL_HERE, __VA_ARGS__)

REEL_UNARY_(sqrt);                                  /* x^(1/2)          floating dtypes            */
#define reel_sqrt(...)    reel_sqrt_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(rsqrt);                                 /* x^(-1/2)         floating dtypes            */
#define reel_rsqrt(...)   reel_rsqrt_at(REEL_HERE, __VA_ARGS__)
REEL_BINARY_(pow);                                  /* a^b              floating dtypes            */
#define reel_pow(...)     reel_pow_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(abs);                                   /* |x|              gradient 0 at 0            */
#define reel_abs(...)     reel_abs_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(sign);                                  /* -1, 0 or 1       no gradient                */
#define reel_sign(...)    reel_sign_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(sin);                                   /* sin x            floating dtypes            */
#define reel_sin(...)     reel_sin_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(cos);                                   /* cos x            floating dtypes            */
#define reel_cos(...)     reel_cos_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(log1p);                                 /* ln(1 + x)        floating dtypes            */
#define reel_log1p(...)   reel_log1p_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(expm1);                                 /* e^x - 1          floating dtypes            */
#define reel_expm1(...)   reel_expm1_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(erf);                                   /* erf x            floating dtypes            */
#define reel_erf(...)     reel_erf_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(sigmoid);                               /* 1 / (1 + e^-x)   floating dtypes            */
#define reel_sigmoid(...) reel_sigmoid_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(softplus);                              /* ln(1 + e^x)      floating dtypes            */
#define reel_softplus(...) reel_softplus_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(gelu);                                  /* x Phi(x), Phi the normal distribution function */
#define reel_gelu(...)    reel_gelu_at(REEL_HERE, __VA_ARGS__)

/* x where x > 0, else slope x; gradient `slope` at 0. */
REEL_API reel_tensor reel_leaky_relu_at(REEL_PLACE, reel_tensor x, double slope);
#define reel_leaky_relu(...) reel_leaky_relu_at(REEL_HERE, __VA_ARGS__)

/* x brought into [low, high]; gradient 1 from low to high, both included, and 0 outside. */
REEL_API reel_tensor reel_clip_at(REEL_PLACE, reel_tensor x, double low, double high);
#define reel_clip(...)    reel_clip_at(REEL_HERE, __VA_ARGS__)

/* Comparisons, with broadcasting: u8, 1 where it holds and 0 where not (or where an operand is NaN, but for
 * not_equal). No gradient. */
REEL_BINARY_(less);
#define reel_less(...)          reel_less_at(REEL_HERE, __VA_ARGS__)
REEL_BINARY_(less_equal);
#define reel_less_equal(...)    reel_less_equal_at(REEL_HERE, __VA_ARGS__)
REEL_BINARY_(greater);
#define reel_greater(...)       reel_greater_at(REEL_HERE, __VA_ARGS__)
REEL_BINARY_(greater_equal);
#define reel_greater_equal(...) reel_greater_equal_at(REEL_HERE, __VA_ARGS__)
REEL_BINARY_(equal);
#define reel_equal(...)         reel_equal_at(REEL_HERE, __VA_ARGS__)
REEL_BINARY_(not_equal);
#define reel_not_equal(...)     reel_not_equal_at(REEL_HERE, __VA_ARGS__)

/* a where `condition`, u8, is not 0, else b; with broadcasting. a and b of one dtype. */
REEL_API reel_tensor reel_where_at(REEL_PLACE, reel_tensor condition, reel_tensor a, reel_tensor b);
#define reel_where(...)         reel_where_at(REEL_HERE, __VA_ARGS__)

/* scale x + shift. The two numbers are fixed when it is recorded. Floating dtypes. */
REEL_API reel_tensor reel_affine_at(REEL_PLACE, reel_tensor x, double scale, double shift);
#define reel_affine(...)  reel_affine_at(REEL_HERE, __VA_ARGS__)

/* x in another dtype: floating values round to nearest, ties to even; to integers they are truncated
 * towards zero and clamped to the range, and NaN becomes 0. Between floating dtypes it has a gradient. */
REEL_API reel_tensor reel_cast_at(REEL_PLACE, reel_tensor x, reel_dtype dtype);
#define reel_cast(...)    reel_cast_at(REEL_HERE, __VA_ARGS__)

/* Matrix product: [..., m, k] [..., k, n] -> [..., m, n], floating dtypes; the leading dimensions broadcast.
 * A transposed or strided operand is read where it lies. The half types are multiplied and summed in f32
 * and rounded once. a may also be u8, such as images: its numbers count as they are, the result has b's dtype, and
 * where n is at most 16 no wider copy of them is made. To standardise on the way, put the scale into b and the mean
 * into what is added: (x - mean) / sigma b = x (b / sigma) - mean (b / sigma). */
REEL_API reel_tensor reel_matmul_at(REEL_PLACE, reel_tensor a, reel_tensor b);
#define reel_matmul(...)  reel_matmul_at(REEL_HERE, __VA_ARGS__)

/* Some axes of a tensor; negative ones count from the end. No axes at all stand for every axis. */
typedef struct reel_axes {
    int count;
    int axis[REEL_MAX_RANK];
} reel_axes;

/* REEL_AXES(0, -1) are the first axis and the last, REEL_AXES() all of them. */
REEL_API reel_axes reel_make_axes(int count, const int *axis);
#define REEL_AXES(...)                                                                               \
    reel_make_axes((int)(sizeof((const int[]){0, __VA_ARGS__}) / sizeof(int)) - 1, (const int[]){0, __VA_ARGS__} + 1)

typedef struct reel_reduce_options {
    size_t      size;
    reel_tensor x;
    struct reel_use_named_arguments *named_arguments_only_;
    reel_axes   axes;                               /* default: all                                */
    bool        keepdims;                           /* reduced axes stay, with size 1              */
} reel_reduce_options;

#define REEL_REDUCE_(name)                                                                           \
    REEL_API reel_tensor reel_##name##_at(REEL_PLACE, const reel_reduce_options *options)

/* reel_sum(x), reel_sum(x, .axes = REEL_AXES(0), .keepdims = true), ... Over no elements, sum is 0, mean
 * is NaN, max is an error and logsumexp is -inf. Sums are compensated, or made in f64. */
REEL_REDUCE_(sum);                                  /* sum x_i                                     */
#define reel_sum(...)       reel_sum_at(REEL_HERE, REEL_OPTIONS(reel_reduce_options, .x = __VA_ARGS__))
REEL_REDUCE_(mean);                                 /* sum x_i / n      floating dtypes            */
#define reel_mean(...)      reel_mean_at(REEL_HERE, REEL_OPTIONS(reel_reduce_options, .x = __VA_ARGS__))
REEL_REDUCE_(max);                                  /* max x_i          at a tie the gradient is shared */
#define reel_max(...)       reel_max_at(REEL_HERE, REEL_OPTIONS(reel_reduce_options, .x = __VA_ARGS__))
REEL_REDUCE_(logsumexp);                            /* log sum e^x_i    floating dtypes            */
#define reel_logsumexp(...) reel_logsumexp_at(REEL_HERE, REEL_OPTIONS(reel_reduce_options, .x = __VA_ARGS__))
REEL_REDUCE_(min);                                  /* min x_i          as max                     */
#define reel_min(...)       reel_min_at(REEL_HERE, REEL_OPTIONS(reel_reduce_options, .x = __VA_ARGS__))
REEL_REDUCE_(prod);                                 /* prod x_i         1 over no elements; integers wrap */
#define reel_prod(...)      reel_prod_at(REEL_HERE, REEL_OPTIONS(reel_reduce_options, .x = __VA_ARGS__))

typedef struct reel_var_options {
    size_t      size;
    reel_tensor x;
    struct reel_use_named_arguments *named_arguments_only_;
    reel_axes   axes;                               /* default: all                                */
    bool        keepdims;
    double      correction;                         /* c: 0 divides by n as NumPy does, 1 by n - 1 as
                                                       PyTorch does; NaN where n <= c              */
} reel_var_options;

/* The variance, sum (x_i - mean)^2 / (n - c). Floating dtypes. */
REEL_API reel_tensor reel_var_at(REEL_PLACE, const reel_var_options *options);
#define reel_var(...)       reel_var_at(REEL_HERE, REEL_OPTIONS(reel_var_options, .x = __VA_ARGS__))

/* Where along an axis the largest or smallest element is: i64, the first at a tie, a NaN before all numbers.
 * The axis is gone from the result. No gradient. */
REEL_API reel_tensor reel_argmax_at(REEL_PLACE, reel_tensor x, int axis);
#define reel_argmax(...)    reel_argmax_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_argmin_at(REEL_PLACE, reel_tensor x, int axis);
#define reel_argmin(...)    reel_argmin_at(REEL_HERE, __VA_ARGS__)

/* Running sums along an axis: y_i = x_0 + ... + x_i. Every dtype; integers wrap. */
REEL_API reel_tensor reel_cumsum_at(REEL_PLACE, reel_tensor x, int axis);
#define reel_cumsum(...)    reel_cumsum_at(REEL_HERE, __VA_ARGS__)

/* Views: they share x's memory, and nothing is copied. reshape copies where the strides of x leave no
 * other way. */
REEL_API reel_tensor reel_reshape_at(REEL_PLACE, reel_tensor x, reel_shape shape);  /* one size may be -1 */
#define reel_reshape(...)   reel_reshape_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_permute_at(REEL_PLACE, reel_tensor x, reel_axes order);   /* y's axis i is x's axis order[i] */
#define reel_permute(...)   reel_permute_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_transpose_at(REEL_PLACE, reel_tensor x);                  /* the last two axes swapped */
#define reel_transpose(...) reel_transpose_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_broadcast_at(REEL_PLACE, reel_tensor x, reel_shape shape);
#define reel_broadcast(...) reel_broadcast_at(REEL_HERE, __VA_ARGS__)

/* x[start:stop:step] along one axis, by Python's rules: negative positions count from the end, positions
 * beyond the ends are clamped, a negative step walks backwards. REEL_END stands for a position left out. */
#define REEL_END INT64_MAX
REEL_API reel_tensor reel_slice_at(REEL_PLACE, reel_tensor x, int axis, int64_t start, int64_t stop, int64_t step);
#define reel_slice(...)     reel_slice_at(REEL_HERE, __VA_ARGS__)

/* x the other way round along some axes, or along all where none is named. A view. */
REEL_API reel_tensor reel_flip_at(REEL_PLACE, reel_tensor x, reel_axes axes);
#define reel_flip(...)      reel_flip_at(REEL_HERE, __VA_ARGS__)

/* Tensors of one dtype, one behind the other along an axis; their other sizes agree. */
REEL_API reel_tensor reel_concatenate_at(REEL_PLACE, reel_tensors xs, int axis);
#define reel_concatenate(...) reel_concatenate_at(REEL_HERE, __VA_ARGS__)

typedef struct reel_pad_options {
    size_t      size;
    reel_tensor x;
    struct reel_use_named_arguments *named_arguments_only_;
    int64_t     before[REEL_MAX_RANK];              /* elements put before and behind, for each axis */
    int64_t     after[REEL_MAX_RANK];
    double      value;                              /* ... of this value                           */
} reel_pad_options;

/* reel_pad(x, .before = {1, 1}, .after = {1, 1}) puts a frame of zeros around a matrix. */
REEL_API reel_tensor reel_pad_at(REEL_PLACE, const reel_pad_options *options);
#define reel_pad(...)       reel_pad_at(REEL_HERE, REEL_OPTIONS(reel_pad_options, .x = __VA_ARGS__))

/* By integer indices, of any integer dtype, in [0, size of the axis); another one is an error that names it.
 *
 * gather: y[o, j, i] = x[o, k[o, j, i], i]. The indices have x's rank, any size along the axis, and else x's
 *     sizes, or 1 to stretch (NumPy's take_along_axis).
 * take: indices of any shape stand in the axis's place in the result (NumPy's take).
 * embedding: rows of a table, [V, ...] by [...]: take along axis 0.
 * scatter_add: zeros with `size` elements along the axis, and x added up there: the VJP of gather. */
REEL_API reel_tensor reel_gather_at(REEL_PLACE, reel_tensor x, reel_tensor indices, int axis);
#define reel_gather(...)    reel_gather_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_take_at(REEL_PLACE, reel_tensor x, reel_tensor indices, int axis);
#define reel_take(...)      reel_take_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_embedding_at(REEL_PLACE, reel_tensor table, reel_tensor indices);
#define reel_embedding(...) reel_embedding_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_scatter_add_at(REEL_PLACE, reel_tensor x, reel_tensor indices, int axis,
                                         int64_t size);
#define reel_scatter_add(...) reel_scatter_add_at(REEL_HERE, __VA_ARGS__)

/* 1 at each index and 0 elsewhere, along a new last axis of `classes`. */
REEL_API reel_tensor reel_one_hot_at(REEL_PLACE, reel_tensor indices, int64_t classes, reel_dtype dtype);
#define reel_one_hot(...)   reel_one_hot_at(REEL_HERE, __VA_ARGS__)

/* x laid out anew, last dimension fastest; x itself where it is so already. */
REEL_UNARY_(contiguous);
#define reel_contiguous(...) reel_contiguous_at(REEL_HERE, __VA_ARGS__)

/* Zeros of the given shape but for y at x[start::step] along the axis: the VJP of a slice. */
REEL_API reel_tensor reel_unslice_at(REEL_PLACE, reel_tensor y, int axis, int64_t size, int64_t start, int64_t step);
#define reel_unslice(...)   reel_unslice_at(REEL_HERE, __VA_ARGS__)

/* x summed down to a shape that broadcasts to x's own: the VJP of broadcasting. x itself where the
 * shapes agree. */
REEL_API reel_tensor reel_sum_to_at(REEL_PLACE, reel_tensor x, reel_shape shape);
#define reel_sum_to(...)    reel_sum_to_at(REEL_HERE, __VA_ARGS__)

/* The same, down to the shape of another tensor. */
REEL_API reel_tensor reel_sum_like_at(REEL_PLACE, reel_tensor x, reel_tensor like);
#define reel_sum_like(...)  reel_sum_like_at(REEL_HERE, __VA_ARGS__)

/* Along one axis; negative ones count from the end. Floating dtypes. */
REEL_API reel_tensor reel_softmax_at(REEL_PLACE, reel_tensor x, int axis);          /* e^x_i / sum e^x_j     */
#define reel_softmax(...)     reel_softmax_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_log_softmax_at(REEL_PLACE, reel_tensor x, int axis);      /* x_i - log sum e^x_j   */
#define reel_log_softmax(...) reel_log_softmax_at(REEL_HERE, __VA_ARGS__)

typedef struct reel_layer_norm_options {
    size_t      size;
    reel_tensor x;
    struct reel_use_named_arguments *named_arguments_only_;
    int         dims;                               /* the last dimensions that go together; default 1 */
    reel_tensor weight, bias;                       /* of these dimensions' shape; may be left out */
    double      eps;                                /* default 1e-5                                */
} reel_layer_norm_options;

/* (x - mean) / sqrt(var + eps) weight + bias, mean and variance over the last dimensions. Floating dtypes. */
REEL_API reel_tensor reel_layer_norm_at(REEL_PLACE, const reel_layer_norm_options *options);
#define reel_layer_norm(...)                                                                         \
    reel_layer_norm_at(REEL_HERE, REEL_OPTIONS(reel_layer_norm_options, .x = __VA_ARGS__))

typedef struct reel_conv2d_options {
    size_t      size;
    reel_tensor x;                                  /* images [N, C, H, W]                         */
    reel_tensor weight;                             /* kernels [O, C / groups, KH, KW]             */
    struct reel_use_named_arguments *named_arguments_only_;
    reel_tensor bias;                               /* [O], added to the result; may be left out   */
    int64_t     stride[2];                          /* of height and width; default 1              */
    int64_t     padding[2];                         /* zeros on both sides; default 0              */
    int64_t     dilation[2];                        /* default 1                                   */
    int64_t     groups;                             /* default 1                                   */
} reel_conv2d_options;

/* Convolution as networks have it (a correlation), [N, O, OH, OW], through matrix products. Floating dtypes. */
REEL_API reel_tensor reel_conv2d_at(REEL_PLACE, const reel_conv2d_options *options);
#define reel_conv2d(...)     reel_conv2d_at(REEL_HERE, REEL_OPTIONS(reel_conv2d_options, .x = __VA_ARGS__))

typedef struct reel_pool2d_options {
    size_t      size;
    reel_tensor x;                                  /* images [N, C, H, W]                         */
    struct reel_use_named_arguments *named_arguments_only_;
    int64_t     kernel[2];                          /* height and width                            */
    int64_t     stride[2];                          /* default: the kernel                         */
    int64_t     padding[2];                         /* on both sides, less than the kernel; default 0 */
    bool        exclude_padding;                    /* avg: divide by the elements inside x, else by all
                                                       of the kernel                               */
} reel_pool2d_options;

/* The largest element of each window (the first at a tie, which gets all the gradient; a NaN before all
 * numbers), and the mean of each: reel_max_pool2d(x, .kernel = {2, 2}). Floating dtypes. */
REEL_API reel_tensor reel_max_pool2d_at(REEL_PLACE, const reel_pool2d_options *options);
#define reel_max_pool2d(...)                                                                         \
    reel_max_pool2d_at(REEL_HERE, REEL_OPTIONS(reel_pool2d_options, .x = __VA_ARGS__))
REEL_API reel_tensor reel_avg_pool2d_at(REEL_PLACE, const reel_pool2d_options *options);
#define reel_avg_pool2d(...)                                                                         \
    reel_avg_pool2d_at(REEL_HERE, REEL_OPTIONS(reel_pool2d_options, .x = __VA_ARGS__))

/* Random masks come from integers. A key is a leaf [seed, draws so far], [2] i64, that can be saved and set
 * back like any other; a draw takes its value and moves it on, which a replay does again. dropout makes x_i 0
 * with probability `rate`, and else x_i / (1 - rate): what becomes of x_i is a function of the draw and of i,
 * so that one draw makes one mask: here, in its gradients, and when it is recorded again in f64.
 *
 *     reel_tensor key = reel_random_key(tape, seed);
 *     reel_tensor h2 = reel_dropout(h, .5, reel_random_draw(key));        a fresh mask at each replay */
REEL_API reel_tensor reel_random_key_at(REEL_PLACE, reel_tape *tape, uint64_t seed);
#define reel_random_key(...)  reel_random_key_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_random_draw_at(REEL_PLACE, reel_tensor key);
#define reel_random_draw(...) reel_random_draw_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_dropout_at(REEL_PLACE, reel_tensor x, double rate, reel_tensor draw);
#define reel_dropout(...)     reel_dropout_at(REEL_HERE, __VA_ARGS__)

/* x itself, through which no gradient passes. A view. */
REEL_UNARY_(stop_gradient);
#define reel_stop_gradient(...) reel_stop_gradient_at(REEL_HERE, __VA_ARGS__)

/* A value of its own where x's dtype, shape or data is wanted with other numbers in it. Constants. */
REEL_UNARY_(zeros_like);
#define reel_zeros_like(...)  reel_zeros_like_at(REEL_HERE, __VA_ARGS__)
REEL_UNARY_(ones_like);
#define reel_ones_like(...)   reel_ones_like_at(REEL_HERE, __VA_ARGS__)


/* ---- Softmax cross-entropy ---------------------------------------------------------------------- */

/* For a row z of C logits along the class axis, with labels y:
 *
 *     m = max z     S = sum y     p = softmax(z)
 *     loss       = sum_c y_c (m - z_c) + S log sum_c e^(z_c - m)  =  - sum_c y_c log p_c
 *     d/d logits = S p - y            d/d labels = -log p
 *
 * The calls, their arguments and their names are TensorFlow's; docs/softmax-cross-entropy.md has the
 * derivation and a table of what differs. f16, bf16, f32 and f64; the small types are computed wider and
 * rounded once. labels and logits broadcast against each other by NumPy's rules, and each gradient is
 * summed to the shape of the input it belongs to. The class axis counts in the logits' own dimensions. The loss has the (broadcast) logits' shape without the
 * class axis. A class with a logit of -inf and label 0 adds nothing. An empty batch gives an empty
 * loss; zero classes are an error. */

typedef enum reel_semantics {
    REEL_SEMANTICS_DEFAULT,                         /* EXACT, but TENSORFLOW for the raw ops       */
    REEL_EXACT,                                     /* gradients of the value returned, for any labels */
    REEL_TENSORFLOW                                 /* d/d logits = p - y as TensorFlow documents it,
                                                       right where labels sum to 1; 0 * inf = NaN.
                                                       Integer labels do sum to 1: there is no difference */
} reel_semantics;

typedef enum reel_reduction {
    REEL_REDUCTION_NONE,                            /* one loss a row                              */
    REEL_REDUCTION_MEAN,                            /* sum r_i loss_i / weight, 0 where weight is 0 */
    REEL_REDUCTION_SUM                              /* sum r_i loss_i                              */
} reel_reduction;

typedef enum reel_label_policy {                    /* an integer label outside [0, C)             */
    REEL_LABELS_ERROR,                              /* is an error that names the first bad row    */
    REEL_LABELS_NAN,                                /* makes its row NaN                           */
    REEL_LABELS_IGNORE                              /* takes its row out: loss 0, gradient 0       */
} reel_label_policy;

#define REEL_NO_INDEX INT64_MIN                     /* no label is ignored                         */
#define REEL_NO_AXIS  INT32_MIN                     /* an axis that was not given                  */

/* What every call of the family takes besides. In any combination, with e = label_smoothing, w = class
 * weights (1 where not given) and r = row weights (1 where not given), the labels used are
 *
 *     y'_c = w_c ((1 - e) y_c + e / C)             y is one-hot for integer labels
 *
 * and the mean's weight is sum_i r_i for dense labels and sum_i r_i w_(label i) for integer labels, over
 * the rows that count. Where PyTorch's cross_entropy has the option, this is its definition. Class and row
 * weights are data: no gradient goes into them. A row of weight 0 does not count, whatever is in it. */
#define REEL_CROSS_ENTROPY_OPTIONS_                                                                  \
    const char    *name;                            /* shown in messages, prints and drawings      */\
    reel_semantics semantics;                                                                        \
    reel_reduction reduction;                                                                        \
    double         label_smoothing;                 /* e in [0, 1]                                 */\
    reel_tensor    class_weights;                   /* [C], logits' dtype                          */\
    reel_tensor    row_weights;                     /* the loss's shape, logits' dtype             */\
    reel_tensor   *counted;                         /* if not NULL, set to the number of rows that
                                                       count: a scalar of the logits' dtype        */

typedef struct reel_cross_entropy_v2 {
    size_t      size;
    int         axis;                               /* default -1                                  */
    struct reel_use_named_arguments *named_arguments_only_;
    reel_tensor labels;
    reel_tensor logits;
    REEL_CROSS_ENTROPY_OPTIONS_
    bool        validate;                           /* error for labels not finite, negative, or   */
    double      sum_tolerance;                      /* ... not summing to 1 within this (0: 1e-3)  */
} reel_cross_entropy_v2;

typedef struct reel_cross_entropy_v1 {
    size_t      size;
    int         axis;                               /* default -1; dim is its older name; both given
                                                       and different is an error                   */
    struct reel_use_named_arguments *named_arguments_only_;
    int         dim;
    reel_tensor labels;
    reel_tensor logits;
    REEL_CROSS_ENTROPY_OPTIONS_
    bool        validate;
    double      sum_tolerance;
} reel_cross_entropy_v1;

typedef struct reel_cross_entropy_sparse {
    size_t      size;
    int         axis;                               /* default -1                                  */
    struct reel_use_named_arguments *named_arguments_only_;
    reel_tensor labels;                             /* i32 or i64, logits' shape without the axis  */
    reel_tensor logits;
    REEL_CROSS_ENTROPY_OPTIONS_
    int64_t           ignore_index;                 /* rows with this label do not count; default
                                                       REEL_NO_INDEX                               */
    reel_label_policy out_of_range;
} reel_cross_entropy_sparse;

typedef struct reel_cross_entropy_raw {
    size_t      size;
    int         axis_unused_;
    struct reel_use_named_arguments *named_arguments_only_;
    reel_tensor    features;                        /* logits                                      */
    reel_tensor    labels;
    const char    *name;
    reel_semantics semantics;
} reel_cross_entropy_raw;

/* loss [N] and backprop [N, C], both differentiable. */
typedef struct reel_loss_and_backprop {
    reel_tensor loss;
    reel_tensor backprop;
} reel_loss_and_backprop;

/* Builds an argument struct whose defaults the caller's named arguments override, without a warning in the
 * caller's file; a positional argument meets the sentinel behind `axis` and does not compile. */
#if defined(__clang__)
#define REEL_OVERRIDE_ _Pragma("clang diagnostic ignored \"-Winitializer-overrides\"")
#else
#define REEL_OVERRIDE_ _Pragma("GCC diagnostic ignored \"-Woverride-init\"")
#endif
#define REEL_NAMED_CALL_(result, function, type, default_axis, ...)                                  \
    (__extension__({                                                                                 \
        _Pragma("GCC diagnostic push") REEL_OVERRIDE_                                                \
        _Pragma("GCC diagnostic error \"-Wint-conversion\"")                                         \
        _Pragma("GCC diagnostic error \"-Wincompatible-pointer-types\"")                             \
        result reel_result_ = function(REEL_HERE, REEL_OPTIONS(type, default_axis, __VA_ARGS__));    \
        _Pragma("GCC diagnostic pop") reel_result_;                                                  \
    }))
#define REEL_COMMA_ ,

/* v2: gradients go into logits and labels. */
REEL_API reel_tensor reel_softmax_cross_entropy_with_logits_at(REEL_PLACE, const reel_cross_entropy_v2 *arguments);
#define reel_softmax_cross_entropy_with_logits(...)                                                  \
    REEL_NAMED_CALL_(reel_tensor, reel_softmax_cross_entropy_with_logits_at, reel_cross_entropy_v2, .axis = -1, __VA_ARGS__)

/* The same with the first API's `dim`. */
REEL_API reel_tensor reel_softmax_cross_entropy_with_logits_v2_at(REEL_PLACE, const reel_cross_entropy_v1 *arguments);
#define reel_softmax_cross_entropy_with_logits_v2(...)                                               \
    REEL_NAMED_CALL_(reel_tensor, reel_softmax_cross_entropy_with_logits_v2_at, reel_cross_entropy_v1, \
                     .dim = REEL_NO_AXIS REEL_COMMA_ .axis = REEL_NO_AXIS, __VA_ARGS__)

/* v1: the labels stand behind a stop_gradient. */
REEL_API reel_tensor reel_softmax_cross_entropy_with_logits_v1_at(REEL_PLACE, const reel_cross_entropy_v1 *arguments);
#define reel_softmax_cross_entropy_with_logits_v1(...)                                               \
    REEL_NAMED_CALL_(reel_tensor, reel_softmax_cross_entropy_with_logits_v1_at, reel_cross_entropy_v1, \
                     .dim = REEL_NO_AXIS REEL_COMMA_ .axis = REEL_NO_AXIS, __VA_ARGS__)

/* Integer labels: the loss of a one-hot row without the row. */
REEL_API reel_tensor reel_sparse_softmax_cross_entropy_with_logits_at(REEL_PLACE, const reel_cross_entropy_sparse *arguments);
#define reel_sparse_softmax_cross_entropy_with_logits(...)                                           \
    REEL_NAMED_CALL_(reel_tensor, reel_sparse_softmax_cross_entropy_with_logits_at, reel_cross_entropy_sparse, \
                     .ignore_index = REEL_NO_INDEX REEL_COMMA_ .axis = -1, __VA_ARGS__)

/* The raw ops: 2-D after broadcasting, TENSORFLOW semantics unless asked otherwise, and both outputs
 * differentiable. backprop is p - labels, or S p - labels in EXACT semantics. */
REEL_API reel_loss_and_backprop reel_raw_softmax_cross_entropy_with_logits_at(REEL_PLACE, const reel_cross_entropy_raw *arguments);
#define reel_raw_softmax_cross_entropy_with_logits(...)                                              \
    REEL_NAMED_CALL_(reel_loss_and_backprop, reel_raw_softmax_cross_entropy_with_logits_at, reel_cross_entropy_raw, \
                     .axis_unused_ = 0, __VA_ARGS__)
REEL_API reel_loss_and_backprop reel_raw_sparse_softmax_cross_entropy_with_logits_at(REEL_PLACE, const reel_cross_entropy_raw *arguments);
#define reel_raw_sparse_softmax_cross_entropy_with_logits(...)                                       \
    REEL_NAMED_CALL_(reel_loss_and_backprop, reel_raw_sparse_softmax_cross_entropy_with_logits_at, reel_cross_entropy_raw, \
                     .axis_unused_ = 0, __VA_ARGS__)


/* ---- Other losses ------------------------------------------------------------------------------- */

/* Of a prediction and a target of one shape and one floating dtype; gradients go into both. The default is
 * one loss an element; a mean over no elements is NaN. */
typedef struct reel_loss_options {
    size_t         size;
    reel_tensor    prediction, target;
    struct reel_use_named_arguments *named_arguments_only_;
    reel_reduction reduction;
} reel_loss_options;

/* reel_mean_squared_error(prediction, target, .reduction = REEL_REDUCTION_MEAN): (prediction - target)^2. */
REEL_API reel_tensor reel_mean_squared_error_at(REEL_PLACE, const reel_loss_options *options);
#define reel_mean_squared_error(...)                                                                 \
    reel_mean_squared_error_at(REEL_HERE, REEL_OPTIONS(reel_loss_options, .prediction = __VA_ARGS__))

/* For logits x and labels t: t softplus(-x) + (1 - t) softplus(x), which neither overflows nor cancels. */
REEL_API reel_tensor reel_binary_cross_entropy_with_logits_at(REEL_PLACE, const reel_loss_options *options);
#define reel_binary_cross_entropy_with_logits(...)                                                   \
    reel_binary_cross_entropy_with_logits_at(REEL_HERE,                                              \
                                             REEL_OPTIONS(reel_loss_options, .prediction = __VA_ARGS__))

typedef struct reel_huber_options {
    size_t         size;
    reel_tensor    prediction, target;
    struct reel_use_named_arguments *named_arguments_only_;
    reel_reduction reduction;
    double         delta;                           /* default 1                                   */
} reel_huber_options;

/* For z = prediction - target: z z / 2 where |z| <= delta, else delta (|z| - delta / 2). */
REEL_API reel_tensor reel_huber_at(REEL_PLACE, const reel_huber_options *options);
#define reel_huber(...) reel_huber_at(REEL_HERE, REEL_OPTIONS(reel_huber_options, .prediction = __VA_ARGS__))


/* ---- Gradients ------------------------------------------------------------------------------------ */

typedef struct reel_gradient_options {
    size_t       size;
    reel_tensor  y;                                 /* floating                                    */
    reel_tensors xs;
    reel_tensor *gradients;                         /* one for each of xs, set by the call         */
    struct reel_use_named_arguments *named_arguments_only_;
    reel_tensor  upstream;                          /* y's dtype and shape; default: ones, which makes
                                                       it the gradient of the sum of y             */
    bool         final;                             /* no gradient will be taken through these
                                                       gradients: their temporaries are reused     */
} reel_gradient_options;

/* reel_gradient(y, REEL_TENSORS(a, b), gradients) sets gradients[0] to d(sum y)/da and gradients[1] to
 * d(sum y)/db, with their dtypes and shapes; `.upstream` weights the elements of y (a vector-Jacobian
 * product). The gradients are values on the same tape like any other. An x that y does not depend on gets
 * zeros (reel_why_no_gradient() says why); an x that no variable reaches is an error. On failure all
 * gradients are failed handles. */
#define reel_gradient(...) reel_gradient_at(REEL_HERE, REEL_OPTIONS(reel_gradient_options, .y = __VA_ARGS__))
REEL_API bool reel_gradient_at(REEL_PLACE, const reel_gradient_options *options);

/* Why the gradient of y into x is zero: one sentence into `buffer`, or "" where it is not cut off. Returns
 * the length of the whole sentence, as reel_format() does. */
REEL_API size_t reel_why_no_gradient(reel_tensor y, reel_tensor x, char *buffer, size_t bytes);


/* ---- Derivatives ---------------------------------------------------------------------------------- */

/* Products with derivatives, and whole derivatives. They are recorded like any gradient, and can be replayed,
 * printed and differentiated again. What a product does not need of its own recording (the gradient's
 * value, say), reel_section_prune() leaves out of a replay. J is dy/dx, H the second derivative of sum y. */

/* u' J: gradients[i] = sum over y's elements of u dy/dx_i, for u of y's dtype and shape (REEL_NONE: ones). It
 * is reel_gradient() under its other name. */
#define reel_vjp(...) reel_vjp_at(REEL_HERE, __VA_ARGS__)
REEL_API bool reel_vjp_at(REEL_PLACE, reel_tensor y, reel_tensor u, reel_tensors xs, reel_tensor *gradients);

/* J t = sum_i dy/dx_i t_i, of y's dtype and shape: how y moves when each x moves along its tangent t, which has
 * the x's dtype and shape. */
#define reel_jvp(...) reel_jvp_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_jvp_at(REEL_PLACE, reel_tensor y, reel_tensors xs, reel_tensors tangents);

/* H v: products[i] = sum_j d2(sum y)/dx_i dx_j v_j, for one v a x, with its dtype and shape. The v are held,
 * also where they are computed from the xs. H itself is not made. */
#define reel_hvp(...) reel_hvp_at(REEL_HERE, __VA_ARGS__)
REEL_API bool reel_hvp_at(REEL_PLACE, reel_tensor y, reel_tensors xs, reel_tensors vectors, reel_tensor *products);

/* The Jacobian, of x's dtype and of y's shape followed by x's, made by a sweep for each element of y; and its
 * row for one element of y (the last dimension counts fastest), of x's shape. */
#define reel_jacobian(...) reel_jacobian_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_jacobian_at(REEL_PLACE, reel_tensor y, reel_tensor x);
#define reel_jacobian_row(...) reel_jacobian_row_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_jacobian_row_at(REEL_PLACE, reel_tensor y, reel_tensor x, int64_t element);

/* d2(sum y)/da db, of a's shape followed by b's: reel_hessian(y, x, x) is the Hessian, reel_hessian(y, a, b) a
 * mixed block; and its row for one element of a, of b's shape. */
#define reel_hessian(...) reel_hessian_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_hessian_at(REEL_PLACE, reel_tensor y, reel_tensor a, reel_tensor b);
#define reel_hessian_row(...) reel_hessian_row_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_hessian_row_at(REEL_PLACE, reel_tensor y, reel_tensor a, reel_tensor b, int64_t element);

/* Tensors of one dtype and shape along a new first axis. */
#define reel_stack(...) reel_stack_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_stack_at(REEL_PLACE, reel_tensors xs);


/* ---- Marks, rewinding, replaying ------------------------------------------------------------------ */

/* A place on the tape, between two records. */
typedef struct reel_mark {
    reel_tape *tape;
    uint32_t   nodes;
    uint32_t   generation;
    void      *block;                               /* where the arena stood                       */
    size_t     used;
} reel_mark;

/* Where the tape stands now. A mark of a failed tape is invalid, and rewinding to it does nothing. */
REEL_API reel_mark reel_tape_mark(reel_tape *tape);

/* Forgets what was recorded since the mark: O(1), frees nothing to the system. What was written into leaves
 * below the mark stays. An error stays too: see reel_error_clear(). */
#define reel_tape_rewind(...) reel_tape_rewind_at(REEL_HERE, __VA_ARGS__)
REEL_API bool reel_tape_rewind_at(REEL_PLACE, reel_tape *tape, reel_mark mark);

/* A stretch of the tape that can be played again. */
typedef struct reel_section {
    reel_tape  *tape;
    uint32_t    from, to;                           /* nodes, `to` not included                    */
    uint32_t    anchor;                             /* the node that it lives and dies with        */
    uint32_t    generation;                         /* ... and that node's generation              */
} reel_section;

/* What was recorded between two marks of one tape. */
#define reel_tape_section(...) reel_tape_section_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_section reel_tape_section_at(REEL_PLACE, reel_mark from, reel_mark to);

/* The part of a section that these tensors need, with the writes into leaves that are made before they are
 * read. What was pruned away keeps its old value when the part is replayed, and can still be read: name among
 * `needed` whatever you read afterwards. */
#define reel_section_prune(...) reel_section_prune_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_section reel_section_prune_at(REEL_PLACE, reel_section section, reel_tensors needed);

/* Runs a section's ops again, in order, on what the leaves hold now. Nothing is recorded or allocated, and
 * the same inputs give the same bits as recording did. Where an op fails (a label out of range, say), that
 * node and the later ones that were to run read as "not computed". Leaves can be written and re-aimed then; a
 * successful replay that runs the failed op again clears the error, and until then other sections are not
 * replayed. A loop of replays looks at what each of them returns. */
#define reel_tape_replay(...) reel_tape_replay_at(REEL_HERE, __VA_ARGS__)
REEL_API bool reel_tape_replay_at(REEL_PLACE, reel_section section);

/* Records a section once more at the tape's end, with every floating leaf promoted to f64: leaves outside
 * or inside the section are snapshots of their values now, casts between floating dtypes become
 * identities, and writes go to the copies. The result can be replayed, pruned and differentiated. */
#define reel_section_in_f64(...) reel_section_in_f64_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_section reel_section_in_f64_at(REEL_PLACE, reel_section section);

/* The twin of a tensor in a section that reel_section_in_f64() made: of a node of the original section, or
 * of a leaf that it reads. */
#define reel_counterpart(...) reel_counterpart_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_counterpart_at(REEL_PLACE, reel_section in_f64, reel_tensor original);


/* ---- Looking at a tape ------------------------------------------------------------------------------ */

/* Tapes, and sections of them, as a table with a line for each value: its node, name, op, inputs, dtype and
 * shape, the range of its elements and of its gradient, its bytes and the caller's place. The gradients
 * are those that the last reel_gradient() found: "none arrived" where an x leads but not to y, "not
 * computed" where it did not go, "-" where no variable reaches. (Pruning a section, or recording it again
 * in f64, forgets them.) All of this works on a failed tape too: what a failed replay left without a value
 * reads "not computed". */
#define reel_print_tape(...) reel_print_tape_at(REEL_HERE, __VA_ARGS__)
REEL_API bool reel_print_tape_at(REEL_PLACE, reel_tape *tape);
#define reel_print_section(...) reel_print_section_at(REEL_HERE, __VA_ARGS__)
REEL_API bool reel_print_section_at(REEL_PLACE, reel_section section);

/* The same text into a buffer, as reel_format() does it. */
REEL_API size_t reel_format_tape(reel_tape *tape, char *buffer, size_t bytes);
REEL_API size_t reel_format_section(reel_section section, char *buffer, size_t bytes);

/* Writes a drawing of a section for Graphviz ("dot -Tsvg path > drawing.svg"): a box for each value with its
 * elements, or their range where there are many, and its gradient; arrows from inputs to results. */
#define reel_draw_section(...) reel_draw_section_at(REEL_HERE, __VA_ARGS__)
REEL_API bool   reel_draw_section_at(REEL_PLACE, reel_section section, const char *path);
REEL_API size_t reel_format_drawing(reel_section section, char *buffer, size_t bytes);

/* One step of a reverse sweep: the VJP of one recorded call. */
typedef struct reel_step {
    reel_tape         *tape;
    int                number;                      /* in its sweep, from 1 on                     */
    const struct reel_op *op;
    const char        *file;                        /* where the call was recorded                 */
    int                line;
    int                inputs, outputs;
    const reel_tensor *input, *output;
    const reel_tensor *incoming;                    /* the gradient of each output; REEL_NONE: zero */
    const reel_tensor *added;                       /* what is added to the gradient of each input
                                                       (REEL_NONE: nothing), or NULL before the VJP
                                                       has run                                     */
} reel_step;

/* Called twice a step, before the VJP runs and after. It may print and read what it likes, and must record
 * nothing. False stops the sweep with an error. */
typedef bool (*reel_watcher)(void *user, const reel_step *step);

/* Lets `watcher` look on at each later sweep of the tape; NULL: nobody. */
REEL_API void reel_watch(reel_tape *tape, reel_watcher watcher, void *user);

/* A watcher that prints each step: the op's formula, the gradient that comes in, and what is added to which
 * gradient. reel_watch(tape, reel_print_step, NULL). */
REEL_API bool reel_print_step(void *user, const reel_step *step);


/* ---- Updates ---------------------------------------------------------------------------------------- */

typedef struct reel_sgd_options {
    size_t       size;
    struct reel_use_named_arguments *named_arguments_only_;
    reel_tensors parameters;                        /* leaves, written                             */
    reel_tensors gradients;                         /* one a parameter, its dtype and shape        */
    reel_tensors velocities;                        /* leaves, written, one a parameter, its dtype and
                                                       shape; may be left out where momentum is 0  */
    reel_tensor  learning_rate;                     /* a floating scalar, read at each replay      */
    double       momentum;
    double       weight_decay;                      /* L2: added to the gradient as weight_decay * w */
    bool         nesterov;                          /* the step is g + momentum v                  */
    bool         decoupled;                         /* weight decay instead by w = w - learning_rate
                                                       weight_decay w, before the step             */
} reel_sgd_options;

/* One step of stochastic gradient descent over all parameters:
 *     g = gradient + weight_decay w      v = momentum v + g      w = w - learning_rate v
 * (PyTorch's SGD.) It checks everything, then writes. */
#define reel_sgd(...) reel_sgd_at(REEL_HERE, REEL_OPTIONS(reel_sgd_options, __VA_ARGS__))
REEL_API bool reel_sgd_at(REEL_PLACE, const reel_sgd_options *options);

/* What the optimisers below remember of a parameter: one leaf, at first zeros, of `parts` times the
 * parameter's elements one behind the other, and at the end the number of steps taken. In f64 for an f64
 * parameter, in f32 for all others. To save it and restore it is all that resuming needs. rmsprop has 1 part,
 * and 1 more each with momentum and where it is centred; adam and adamw have 2, or 3 with amsgrad. */
#define reel_optimiser_state(...) reel_optimiser_state_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_optimiser_state_at(REEL_PLACE, reel_tensor parameter, int parts);

typedef struct reel_rmsprop_options {
    size_t       size;
    struct reel_use_named_arguments *named_arguments_only_;
    reel_tensors parameters;                        /* leaves, written                             */
    reel_tensors gradients;                         /* one a parameter, its dtype and shape        */
    reel_tensors states;                            /* leaves, written: s, then b where there is a momentum,
                                                       then a where it is centred                  */
    reel_tensor  learning_rate;                     /* a floating scalar, read at each replay      */
    double       alpha;                             /* default 0.99                                */
    double       epsilon;                           /* default 1e-8                                */
    double       momentum;
    double       weight_decay;                      /* L2                                          */
    bool         centred;
} reel_rmsprop_options;

/* One step of RMSprop over all parameters, as PyTorch defines it:
 *     g = gradient + weight_decay w      s = alpha s + (1 - alpha) g g
 *     w = w - learning_rate g / (sqrt(s) + epsilon)
 * Centred, with a = alpha a + (1 - alpha) g, the root is of s - a a; with momentum, w moves by
 * learning_rate b, b = momentum b + g / (sqrt(s) + epsilon). It checks everything, then writes. */
#define reel_rmsprop(...)                                                                            \
    REEL_NAMED_CALL_(bool, reel_rmsprop_at, reel_rmsprop_options,                                    \
                     .alpha = .99 REEL_COMMA_ .epsilon = 1e-8, __VA_ARGS__)
REEL_API bool reel_rmsprop_at(REEL_PLACE, const reel_rmsprop_options *options);

typedef struct reel_adam_options {
    size_t       size;
    struct reel_use_named_arguments *named_arguments_only_;
    reel_tensors parameters;                        /* leaves, written                             */
    reel_tensors gradients;                         /* one a parameter, its dtype and shape        */
    reel_tensors states;                            /* leaves, written: m, v, and u with amsgrad   */
    reel_tensor  learning_rate;                     /* a floating scalar, read at each replay      */
    double       beta1, beta2;                      /* default 0.9 and 0.999                       */
    double       epsilon;                           /* default 1e-8                                */
    double       weight_decay;                      /* adam: L2, default 0; adamw: decoupled, default 0.01 */
    bool         amsgrad;
} reel_adam_options;

/* Step t (from 1 on, counted in the states) of Adam over all parameters, as PyTorch defines it:
 *     g = gradient + weight_decay w      m = beta1 m + (1 - beta1) g      v = beta2 v + (1 - beta2) g g
 *     w = w - learning_rate / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
 * AdamW leaves the gradient alone, and begins with w = w - learning_rate weight_decay w. With amsgrad the
 * root is of u = max(u, v). They check everything, then write. */
#define reel_adam(...)                                                                               \
    REEL_NAMED_CALL_(bool, reel_adam_at, reel_adam_options,                                          \
                     .beta1 = .9 REEL_COMMA_ .beta2 = .999 REEL_COMMA_ .epsilon = 1e-8, __VA_ARGS__)
REEL_API bool reel_adam_at(REEL_PLACE, const reel_adam_options *options);
#define reel_adamw(...)                                                                              \
    REEL_NAMED_CALL_(bool, reel_adamw_at, reel_adam_options,                                         \
                     .beta1 = .9 REEL_COMMA_ .beta2 = .999 REEL_COMMA_ .epsilon = 1e-8 REEL_COMMA_   \
                     .weight_decay = .01, __VA_ARGS__)
REEL_API bool reel_adamw_at(REEL_PLACE, const reel_adam_options *options);

/* sqrt(sum of the squares of all elements of all xs), a scalar: f64 where one of them is, else f32. */
#define reel_global_norm(...) reel_global_norm_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_global_norm_at(REEL_PLACE, reel_tensors xs);

/* Scales all gradients by min(1, most / (norm + 1e-6)), norm being their global norm, and returns the norm
 * (PyTorch's clip_grad_norm_). Sets clipped[i], which may be the list that the gradients came in. */
#define reel_clip_gradients(...) reel_clip_gradients_at(REEL_HERE, __VA_ARGS__)
REEL_API reel_tensor reel_clip_gradients_at(REEL_PLACE, reel_tensors gradients, double most,
                                            reel_tensor *clipped);


/* ---- Checking gradients -------------------------------------------------------------------------------- */

/* Whether a gradient is the derivative of the value. One wrong derivative makes the whole a FAIL, one that cannot
 * be judged makes it at best CANNOT TELL: the verdict of the whole is the worst of all. */
typedef enum reel_verdict {
    REEL_NOT_CHECKED,                               /* the check failed: see reel_error_message()  */
    REEL_PASS,
    REEL_CANNOT_TELL,
    REEL_FAIL
} reel_verdict;

/* Why nobody can tell. */
typedef enum reel_doubt {
    REEL_NO_DOUBT,
    REEL_KINK,                                      /* no derivative here: its two sides differ, or it
                                                       does not settle as the step shrinks         */
    REEL_CANCELLATION,                              /* the rounding of y hides the difference      */
    REEL_NOT_FINITE,                                /* y, or y nearby, overflows or is NaN         */
    REEL_OP_REFUSED,                                /* an op gives an error nearby                 */
    REEL_NOT_REPEATABLE,                            /* a replay of the same inputs gave other bits */
    REEL_ROUNDING                                   /* the formula is right, but the recorded dtype
                                                       loses more than half of its digits          */
} reel_doubt;

/* What the mistake looks like: a guess, from the wrong derivatives beside the right ones. */
typedef enum reel_cause {
    REEL_NO_CAUSE,
    REEL_CAUSE_SIGN,                                /* ratio -1                                    */
    REEL_CAUSE_FACTOR,                              /* one ratio throughout                        */
    REEL_CAUSE_REDUCTION,                           /* ... which is a size of a tensor, or 1 / size:
                                                       a mean taken for a sum, or a sum for a mean */
    REEL_CAUSE_MISSING_PATH,                        /* ratio 0: a path from x to y is not followed */
    REEL_CAUSE_TRANSPOSED,                          /* the right numbers, two axes exchanged       */
    REEL_CAUSE_PERMUTED,                            /* the right numbers in other places           */
    REEL_CAUSE_ACCUMULATION,                        /* right but where an input is used twice      */
    REEL_CAUSE_LABEL_SUM,                           /* softmax - labels where S softmax - labels is
                                                       meant: the labels do not sum to 1           */
    REEL_CAUSE_AXIS,                                /* normalised along another axis than the right one:
                                                       it sums to 0 along that, or is off by one softmax
                                                       in place of another                         */
    REEL_CAUSE_NOT_FINITE,                          /* the gradient is NaN or infinite, y is not   */
    REEL_CAUSE_SOME_ELEMENTS,                       /* a few elements, all others are right        */
    REEL_CAUSE_NOT_RECORDED,                        /* a VJP computed numbers outside the tape, so that
                                                       the gradient of the gradient misses them    */
    REEL_CAUSE_OTHER                                /* a missing or a wrong term                   */
} reel_cause;

/* What more is known of a cause. */
typedef struct reel_clue {
    double factor;                                  /* FACTOR, REDUCTION: gradient / derivative    */
    int    axis;                                    /* REDUCTION: the axis of the input that has this size,
                                                       -1: something else has; AXIS: the one taken, ... */
    int    meant;                                   /* ... and the one that is meant               */
    bool   softmax;                                 /* ... and what is taken along it is a softmax */
} reel_clue;

REEL_API const char *reel_verdict_name(reel_verdict verdict);      /* "PASS", "CANNOT TELL", ...   */
REEL_API const char *reel_doubt_text(reel_doubt doubt);            /* a few words                  */
REEL_API const char *reel_cause_text(reel_cause cause);

/* One derivative, of y into one element or along one random direction. */
typedef struct reel_finding {
    reel_verdict verdict;
    reel_doubt   doubt;
    int          order;                             /* 1, or 2: of the gradient, ...               */
    int          x;                                 /* which of xs; from xs.count on: the upstream
                                                       gradients of the lower orders               */
    const char  *name;                              /* its name, or ""                             */
    int64_t      element;                           /* counted with the last dimension fastest; -1: a
                                                       direction                                   */
    int          rank;
    int64_t      index[REEL_MAX_RANK];              /* the same as an index                        */
    double       analytic;                          /* what the VJPs say, in f64                   */
    double       numeric, error;                    /* what differences say, and how far it may be off */
    double       ratio;                             /* analytic / numeric                          */
    double       recorded;                          /* what they say in the recorded dtype         */
    double       severity;                          /* |analytic - numeric|, the tensor's largest
                                                       derivative being 1                          */
} reel_finding;

/* A node whose VJP is wrong by itself, checked alone at the values that it had. */
typedef struct reel_blame {
    const char      *op;
    const char      *file;                          /* where it was recorded                       */
    int              line;
    uint32_t         node;                          /* on the tape                                 */
    int              input;                         /* which of the op's inputs, from 0 on; -1: the
                                                       upstream gradient                           */
    reel_description described;                     /* ... in words                                */
    reel_cause       cause;
    reel_clue        clue;
    reel_finding     finding;                       /* its worst derivative; x is the input        */
} reel_blame;

enum { REEL_FINDINGS = 16, REEL_BLAMES = 4 };       /* the room for them in a report               */

/* A value like any other: nothing in it needs to be freed. Names and places in it belong to the tape. */
typedef struct reel_gradcheck_report {
    reel_verdict     verdict;                       /* of the whole: the worst of all              */
    reel_cause       cause;                         /* that of the first blame, if there is one    */
    reel_clue        clue;
    int64_t          passed, undecided, failed;     /* derivatives                                 */
    reel_finding     worst[REEL_FINDINGS];          /* the worst first, without those that pass    */
    int              findings;
    reel_blame       blame[REEL_BLAMES];            /* the worst first                             */
    int              blames;                        /* 0 after a FAIL: each VJP is right alone     */
    bool             blame_tried;
    reel_dtype       dtype;                         /* the smallest floating dtype on the way      */
    double           digits;                        /* how many decimal digits the gradient keeps in it, in
                                                       the tensor that loses most, relative to the
                                                       tensor's largest derivative; NaN: all f64   */
    int64_t          rows;                          /* most rows that were perturbed together; 1: none */
    int              stopped;                       /* outputs of stop_gradient that were held     */
    int              directions;
    double           seen_above;                    /* with directions: an error of a single derivative
                                                       above this is seen for certain, ...         */
    double           chance_to_miss;                /* ... and errors of several, the largest above it,
                                                       are missed with at most this chance         */
    int64_t          not_finite;                    /* elements of y that were left out            */
    const char      *unsteady_op, *unsteady_file;   /* REEL_NOT_REPEATABLE: the first node that differs */
    int              unsteady_line;
    uint32_t         unsteady_node;
    int64_t          replays;                       /* how often y was computed                    */
} reel_gradcheck_report;

typedef struct reel_gradcheck_options {
    size_t        size;
    reel_tensor   y;                                /* floating, of any shape                      */
    reel_tensors  xs;
    struct reel_use_named_arguments *named_arguments_only_;
    int           order;                            /* 2 checks the gradient's own gradient too, with its
                                                       mixed blocks; default 1                     */
    int           directions;                       /* k: k random directions a tensor instead of each
                                                       element, for large models                   */
    double        tolerance;                        /* relative, beside the error bar; default 1e-6 */
    bool          one_by_one;                       /* do not perturb independent rows together    */
    bool          no_blame;                         /* do not look for the node at fault           */
    uint64_t      seed;
    reel_finding *elements;                         /* if not NULL, gets as many findings as there is room
                                                       for, the worst first, those that pass too   */
    size_t        element_room;
} reel_gradcheck_options;

/* reel_gradcheck(y, REEL_TENSORS(a, b)) compares reel_gradient() with differences of y, for each element of a
 * and b, on what is recorded already: nothing else is needed. A y that is not a scalar is weighted with a
 * random upstream gradient. What y needs of the xs is recorded again in f64 above the tape's end, with
 * the outputs of stop_gradient held where they are, perturbed and replayed, and rewound: the tape and its
 * values stay bit for bit as they are.
 *
 * Differences at several step sizes, scaled to the element, are extrapolated to a step of zero (Ridders 1982),
 * which gives each an error bar. A derivative passes where the two agree within twice the bar and `tolerance`
 * of its size, and the bar is small enough to tell; at a kink nobody can tell.
 *
 * The formula is judged in f64 whatever the recording's dtype; `digits` says what the recorded dtype keeps of
 * the gradient. When something fails, each node's VJP is checked alone, and `blame` names those at fault. */
#define reel_gradcheck(...)                                                                          \
    reel_gradcheck_at(REEL_HERE, REEL_OPTIONS(reel_gradcheck_options, .y = __VA_ARGS__))
REEL_API reel_gradcheck_report reel_gradcheck_at(REEL_PLACE, const reel_gradcheck_options *options);

/* The same for functions in C: an array in, an array out, no tape. They get their own copies of arrays. */
typedef struct reel_gradcheck_function_options {
    size_t         size;
    struct reel_use_named_arguments *named_arguments_only_;
    bool         (*forward)(void *user, const void *x, void *y);            /* false: it cannot    */
    bool         (*backward)(void *user, const void *x, const void *dy, void *dx);
    const void    *gradient;                        /* instead of backward: your gradient of sum dy_i y_i
                                                       at x, of x's shape                          */
    const void    *dy;                              /* with `gradient`; default: ones              */
    void          *user;
    reel_dtype     dtype;                           /* of all arrays, f64 by default, or f32       */
    reel_shape     x_shape, y_shape;                /* default: scalars                            */
    const void    *x;
    const char    *name;                            /* of x, for the report; it outlives the report */
    int            directions;
    double         tolerance;                       /* default 1e-6, for f32 1e-3                  */
    bool           one_by_one;
    uint64_t       seed;
    reel_finding  *elements;
    size_t         element_room;
    reel_allocator allocator;                       /* NULL: reel_standard_allocator()             */
    void          *allocator_user;
} reel_gradcheck_function_options;

/* reel_gradcheck_function(.forward = f, .backward = g, .x = x, .x_shape = ..., .y_shape = ...) checks g, the
 * vector-Jacobian product of f at x; the report is that of reel_gradcheck(). */
#define reel_gradcheck_function(...)                                                                 \
    reel_gradcheck_function_at(REEL_HERE, REEL_OPTIONS(reel_gradcheck_function_options, __VA_ARGS__))
REEL_API reel_gradcheck_report reel_gradcheck_function_at(REEL_PLACE,
                                                          const reel_gradcheck_function_options *options);

/* The report as text, as reel_format() does it; and printed, through the table's file 1 (NULL: the standard
 * table). */
REEL_API size_t reel_gradcheck_text(const reel_gradcheck_report *report, char *buffer, size_t bytes);
REEL_API bool   reel_gradcheck_print(const reel_gradcheck_report *report, const reel_io *io);


/* ---- Writing an op ------------------------------------------------------------------------------------ */

/* An operand as an op's code sees it. */
typedef struct reel_array {
    void          *data;                            /* the first element                           */
    reel_dtype     dtype;
    int            rank;
    const int64_t *shape;                           /* rank sizes                                  */
    const int64_t *strides;                         /* rank strides, in elements                   */
    int64_t        count;                           /* elements                                    */
} reel_array;

struct reel_op;

/* What the shape rule says of an output. */
typedef struct reel_output {
    reel_dtype dtype;
    reel_shape shape;
    int        view_of;                             /* -1: memory of its own (the default); else the input
                                                       whose memory it shares,                     */
    int64_t    offset;                              /* ... from this element on,                   */
    int64_t    strides[REEL_MAX_RANK];              /* ... with these strides                      */
} reel_output;

/* One application of an op. */
typedef struct reel_call {
    reel_tape            *tape;
    const struct reel_op *op;
    const void           *attributes;               /* the tape's copy                             */
    int                   inputs, outputs;
    const reel_tensor    *input;                    /* handles: in shape rules and VJPs            */
    const reel_tensor    *output;                   /* handles: in VJPs alone                      */
    const reel_array     *in;                       /* operands: in shape rules (without trust in their
                                                       data) and forwards                          */
    const reel_array     *out;                      /* ... in forwards alone                       */
    void                 *scratch;                  /* in forwards: as many bytes as the shape rule asked
                                                       for, aligned to 64                          */
    size_t                scratch_bytes;            /* ... which it does by setting this           */
} reel_call;

/* For op->inputs and op->outputs: as many as are passed. */
#define REEL_ANY (-1)

/* The inner loop of an elementwise op: n elements side by side, y = out[i] of in[0][i], in[1][i] ... `out` may
 * be in[0]. */
typedef void (*reel_kernel)(int64_t n, const void *const in[], void *out, const void *attributes);

enum { REEL_KERNEL_INPUTS = 3 };                    /* of an elementwise op, at most               */

/* The kernels of an op: {.of[REEL_F32] = swish_f32, .of[REEL_F64] = swish_f64}. NULL for each dtype that it does
 * not take, and for f16 and bf16 always. */
typedef struct reel_kernels {
    reel_kernel of[REEL_DTYPES];
} reel_kernels;

enum reel_op_flags {
    REEL_NO_GRADIENT   = 1 << 0,                    /* not differentiable by its nature: gradients stop */
    REEL_OUTPUT_UNREAD = 1 << 1,                    /* its VJP does not read its outputs' values   */
    REEL_INPUTS_UNREAD = 1 << 2                     /* ... nor its inputs' values                  */
};

/* An independent, slow implementation in double, for tests and the gradient lab: contiguous inputs, outputs
 * of the right shape to be filled in. */
typedef struct reel_reference_array {
    int     rank;
    int64_t shape[REEL_MAX_RANK];
    int64_t count;
    double *value;
} reel_reference_array;
typedef void (*reel_reference)(const void *attributes, const reel_reference_array *in, int inputs,
                               reel_reference_array *out, int outputs);

enum { REEL_SAMPLE_INPUTS = 4 };                    /* of a sample, at most                        */

/* How a sample's input lies in memory: a stretched one repeats its first row with a stride of 0. */
enum reel_layout { REEL_CONTIGUOUS, REEL_TRANSPOSED, REEL_EVERY_OTHER, REEL_REVERSED, REEL_STRETCHED };

/* What an op is tested with. Values are drawn evenly from [low, high), or from -1 to 1 where both are 0. */
typedef struct reel_sample {
    const char *note;
    int         inputs;                             /* 0: the op's own number                      */
    struct {
        reel_shape       shape;
        double           low, high;
        reel_dtype       dtype;                     /* REEL_NO_DTYPE: each floating dtype in turn  */
        enum reel_layout layout;
        const double    *values;                    /* these instead of random ones                */
    } in[REEL_SAMPLE_INPUTS];
    const void *attributes;
    const char *error;                              /* this call fails, and the message has this in it */
    bool        kink;                               /* the gradient has a jump here: forward only  */
} reel_sample;

/* An op. Every op of Reel is one of these, and a user's own op is no different. */
typedef struct reel_op {
    size_t      size;                               /* sizeof(reel_op)                             */
    const char *name;
    int         inputs, outputs;                    /* or REEL_ANY; an op that only writes has 0 outputs */
    size_t      attributes;                         /* bytes of its attribute struct, 0 for none   */
    unsigned    flags;                              /* of enum reel_op_flags                       */
    bool (*writes)(const void *attributes, int input);  /* which inputs it writes, all of them leaves;
                                                           NULL: none                              */

    /* Of an elementwise op, which has at most three inputs. All else comes with them: one dtype for all,
     * broadcasting, any strides, threads, and the half types by way of f32. Then `shape` and `forward` stay NULL.
     * (With a shape rule of its own an elementwise op may have operands of other dtypes: the kernel works in
     * that of the last input, and the others are converted.) */
    const reel_kernels *kernels;

    /* Checks the inputs and fills in `out`; false after reel_call_error(). */
    bool (*shape)(reel_call *call, reel_output *out);

    /* Computes the outputs. NULL for a view. False after reel_call_error(). It must not allocate. */
    bool (*forward)(const reel_call *call);

    /* Records the gradient into each input i with wanted[i], of input i's dtype and shape, from the
     * gradients dy of the outputs (REEL_NONE: zero); leaves REEL_NONE for a gradient of zero. Of an input that an
     * op with kernels has stretched it may have the output's shape: it is summed then. It is made of ops: reading
     * numbers here is refused, since what is computed from them in C would stand still in a replay and in second
     * derivatives. */
    void (*vjp)(const reel_call *call, const reel_tensor dy[], reel_tensor dx[], const bool wanted[]);

    /* Called on a copy of the attributes before a section is recorded again in f64; NULL: as they are. */
    void (*promote)(void *attributes);

    const char        *formula;                     /* "y = tanh(x); dx = (1 - y y) dy"            */
    const char        *example;                     /* the call on the inputs a, b, c, d of the first sample:
                                                       "reel_clip(a, -.5, .75)". NULL: reel_NAME(a, b), or
                                                       there is no such call                       */
    reel_reference     reference;                   /* these three for tests; Reel's own ops have none in
                                                       the library that is installed               */
    const reel_sample *samples;
    size_t             sample_count;
} reel_op;

/* Applies an op to inputs, and sets `outputs` (as many as it has; NULL where it has none). The op must
 * outlive the tape; attributes are copied. On failure outputs are failed handles. */
REEL_API bool reel_apply_at(REEL_PLACE, const reel_op *op, reel_tensors inputs, const void *attributes,
                            reel_tensor *outputs, int output_count);
#define reel_apply(...) reel_apply_at(REEL_HERE, __VA_ARGS__)

/* Puts an error on the tape from inside an op; it adds the place and the op's name. Always false. */
REEL_API bool reel_call_error(const reel_call *call, const char *format, ...);

/* An input in a few words for such an error, such as: "truth" [4,2] f32; in forwards too. */
REEL_API reel_description reel_call_describe(const reel_call *call, int input);

/* Inside an op: runs work(context, begin, end) over [0, count) in pieces of at least `grain`, on the tape's
 * threads. The pieces must not depend on each other. */
REEL_API void reel_call_parallel(const reel_call *call, int64_t count, int64_t grain,
                                 void (*work)(void *context, int64_t begin, int64_t end), void *context);

/* The ops that Reel has, sorted by name. */
REEL_API size_t         reel_op_count(void);
REEL_API const reel_op *reel_op_in_table(size_t index);

#ifdef __cplusplus
}

/* ---- From C++ ------------------------------------------------------------------------------------------- */

/* C++11 and later. Lists are written as in C, and last as long as the expression that they stand in. Where a call takes
 * named arguments, C++ fills in a struct and calls the function behind the macro, whose name ends in "_at":
 *
 *     reel_cross_entropy_v2 arguments = reel_cross_entropy_v2_defaults();
 *     arguments.labels = labels;
 *     arguments.logits = logits;
 *     reel_tensor loss = reel_softmax_cross_entropy_with_logits_at(REEL_HERE, &arguments);
 *
 * Each option struct has such a function below. In C++20 those whose defaults are zeros may be written with
 * names, in the struct's order: REEL_OPTIONS(reel_reduce_options, .x = x, .keepdims = true), and so
 * reel_sum(x, .keepdims = true). g++ remarks on them with -Wextra unless there is
 * -Wno-missing-field-initializers. */
#include <initializer_list>

inline reel_shape reel_list_shape(std::initializer_list<int64_t> sizes)
{
    return reel_make_shape((int)sizes.size(), sizes.begin());
}

inline reel_axes reel_list_axes(std::initializer_list<int> axes)
{
    return reel_make_axes((int)axes.size(), axes.begin());
}

inline reel_tensors reel_list_tensors(std::initializer_list<reel_tensor> tensors)
{
    return reel_tensors_of(tensors.begin(), tensors.size());
}

template <typename Number> reel_values reel_list_values(reel_dtype dtype, std::initializer_list<Number> numbers)
{
    return reel_values_of(dtype, numbers.begin(), numbers.size());
}

inline reel_values reel_list_f64(reel_dtype dtype, std::initializer_list<double> numbers)
{
    return reel_values_from_f64(dtype, numbers.begin(), numbers.size());
}

template <typename Options> const Options *reel_options_of(const Options &options)
{
    return &options;
}

#undef REEL_OPTIONS
#undef REEL_SHAPE
#undef REEL_AXES
#undef REEL_TENSORS
#undef REEL_NONE
#undef REEL_F32_VALUES
#undef REEL_F64_VALUES
#undef REEL_I32_VALUES
#undef REEL_I64_VALUES
#undef REEL_U8_VALUES
#undef REEL_F16_VALUES
#undef REEL_BF16_VALUES
#define REEL_OPTIONS(type, ...) reel_options_of(type{.size = sizeof(type), __VA_ARGS__})
#define REEL_SHAPE(...)       reel_list_shape({__VA_ARGS__})
#define REEL_AXES(...)        reel_list_axes({__VA_ARGS__})
#define REEL_TENSORS(...)     reel_list_tensors({__VA_ARGS__})
#define REEL_NONE             (reel_tensor{NULL, 0, 0})
#define REEL_F32_VALUES(...)  reel_list_values<float>(REEL_F32, {__VA_ARGS__})
#define REEL_F64_VALUES(...)  reel_list_values<double>(REEL_F64, {__VA_ARGS__})
#define REEL_I32_VALUES(...)  reel_list_values<int32_t>(REEL_I32, {__VA_ARGS__})
#define REEL_I64_VALUES(...)  reel_list_values<int64_t>(REEL_I64, {__VA_ARGS__})
#define REEL_U8_VALUES(...)   reel_list_values<uint8_t>(REEL_U8, {__VA_ARGS__})
#define REEL_F16_VALUES(...)  reel_list_f64(REEL_F16, {__VA_ARGS__})
#define REEL_BF16_VALUES(...) reel_list_f64(REEL_BF16, {__VA_ARGS__})

#define REEL_DEFAULTS_(type, set)                                                                    \
    inline type type##_defaults()                                                                    \
    {                                                                                                \
        type a = {};                                                                                 \
        a.size = sizeof a;                                                                           \
        set;                                                                                         \
        return a;                                                                                    \
    }

REEL_DEFAULTS_(reel_tape_options, (void)0)
REEL_DEFAULTS_(reel_wrap_options, (void)0)
REEL_DEFAULTS_(reel_reduce_options, (void)0)
REEL_DEFAULTS_(reel_var_options, (void)0)
REEL_DEFAULTS_(reel_pad_options, (void)0)
REEL_DEFAULTS_(reel_layer_norm_options, (void)0)
REEL_DEFAULTS_(reel_conv2d_options, (void)0)
REEL_DEFAULTS_(reel_pool2d_options, (void)0)
REEL_DEFAULTS_(reel_cross_entropy_v2, a.axis = -1)
REEL_DEFAULTS_(reel_cross_entropy_v1, a.axis = a.dim = REEL_NO_AXIS)
REEL_DEFAULTS_(reel_cross_entropy_sparse, (a.axis = -1, a.ignore_index = REEL_NO_INDEX))
REEL_DEFAULTS_(reel_cross_entropy_raw, (void)0)
REEL_DEFAULTS_(reel_loss_options, (void)0)
REEL_DEFAULTS_(reel_huber_options, (void)0)
REEL_DEFAULTS_(reel_gradient_options, (void)0)
REEL_DEFAULTS_(reel_sgd_options, (void)0)
REEL_DEFAULTS_(reel_rmsprop_options, (a.alpha = .99, a.epsilon = 1e-8))
REEL_DEFAULTS_(reel_adam_options, (a.beta1 = .9, a.beta2 = .999, a.epsilon = 1e-8))     /* adamw: weight_decay .01 too */
REEL_DEFAULTS_(reel_gradcheck_options, (void)0)
REEL_DEFAULTS_(reel_gradcheck_function_options, (void)0)
#endif
#endif
