/* Products with derivatives and whole derivatives, against closed forms.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/harness.h"

#include <math.h>
#include <string.h>

enum { DERIVATIVES_MOST = 512 };

static reel_tape *derivatives_tape;
static uint64_t   derivatives_random;

static void derivatives_setup(void)
{
    derivatives_tape = reel_tape_new();
    derivatives_random = 7;
}

static void derivatives_teardown(void)
{
    reel_tape_free(derivatives_tape);
}

static reel_tensor derivatives_draw(reel_dtype dtype, reel_shape shape, bool variable)
{
    double value[DERIVATIVES_MOST];
    int64_t count = test_count(shape);
    ck_assert_int_le(count, DERIVATIVES_MOST);
    for (int64_t i = 0; i < count; i++)
        value[i] = test_uniform(&derivatives_random, -2, 2);
    reel_values values = reel_values_from_f64(dtype, value, (size_t)count);
    return variable ? reel_variable(derivatives_tape, shape, values)
                    : reel_constant(derivatives_tape, shape, values);
}

static reel_tensor derivatives_variable(reel_shape shape)
{
    return derivatives_draw(REEL_F64, shape, true);
}

/* `buffer` has room for the elements of x. */
static const double *derivatives_read(reel_tensor x, double *buffer)
{
    ck_assert_msg(!reel_failed(derivatives_tape), "%s", reel_error_message(derivatives_tape));
    ck_assert(reel_read_f64(x, buffer, (size_t)reel_count(x)));
    return buffer;
}

static void derivatives_shape_is(reel_tensor x, reel_shape want)
{
    reel_shape got = reel_shape_of(x);
    size_t bytes = (size_t)want.rank * sizeof *want.size;
    ck_assert_msg(got.rank == want.rank && !memcmp(got.size, want.size, bytes), "%s %s",
                  reel_describe(x).text, reel_error_message(derivatives_tape));
}

static void derivatives_near(reel_tensor x, const double *want, double allowed)
{
    double got[DERIVATIVES_MOST];
    ck_assert_int_le(reel_count(x), DERIVATIVES_MOST);
    derivatives_read(x, got);
    for (int64_t i = 0; i < reel_count(x); i++)
        ck_assert_msg(fabs(got[i] - want[i]) <= allowed, "%s: element %d is %.17g, not %.17g",
                      reel_describe(x).text, (int)i, got[i], want[i]);
}

/* The error names this file and says what is wanted; the next one gets a fresh tape. */
static void derivatives_error(const char *wanted)
{
    const char *message = reel_error_message(derivatives_tape);
    ck_assert_msg(strstr(message, wanted) && strstr(message, __FILE__), "\"%s\"", message);
    reel_tape_free(derivatives_tape);
    derivatives_setup();
}


/* ---- A quadratic form ---------------------------------------------------------------------------- */

enum { QUADRATIC = 4 };

/* x' A x / 2: gradient (A + A') x / 2, Hessian (A + A') / 2. */
static reel_tensor quadratic_form(reel_tensor a, reel_tensor x)
{
    reel_tensor column = reel_reshape(x, REEL_SHAPE(QUADRATIC, 1));
    return reel_affine(reel_sum(reel_mul(column, reel_matmul(a, column))), .5, 0);
}

static void quadratic_hessian(reel_tensor a, double hessian[QUADRATIC * QUADRATIC])
{
    double buffer[DERIVATIVES_MOST];
    const double *value = derivatives_read(a, buffer);
    for (int i = 0; i < QUADRATIC; i++)
        for (int j = 0; j < QUADRATIC; j++)
            hessian[i * QUADRATIC + j] = (value[i * QUADRATIC + j] + value[j * QUADRATIC + i]) / 2;
}

START_TEST(derivatives_of_a_quadratic_form)
{
    reel_tensor a = derivatives_variable(REEL_SHAPE(QUADRATIC, QUADRATIC));
    reel_tensor x = derivatives_variable(REEL_SHAPE(QUADRATIC));
    reel_tensor v = derivatives_draw(REEL_F64, REEL_SHAPE(QUADRATIC), false), product;
    reel_tensor y = quadratic_form(a, x);
    double h[QUADRATIC * QUADRATIC], hv[QUADRATIC] = {0}, buffer[DERIVATIVES_MOST];
    quadratic_hessian(a, h);
    const double *of_v = derivatives_read(v, buffer);
    for (int i = 0; i < QUADRATIC; i++)
        for (int j = 0; j < QUADRATIC; j++)
            hv[i] += h[i * QUADRATIC + j] * of_v[j];

    ck_assert(reel_hvp(y, REEL_TENSORS(x), REEL_TENSORS(v), &product));
    derivatives_shape_is(product, REEL_SHAPE(QUADRATIC));
    derivatives_near(product, hv, 1e-14);
    reel_tensor hessian = reel_hessian(y, x, x);
    derivatives_shape_is(hessian, REEL_SHAPE(QUADRATIC, QUADRATIC));
    derivatives_near(hessian, h, 1e-14);
    for (int i = 0; i < QUADRATIC; i++)
        derivatives_near(reel_hessian_row(y, x, x, i), h + i * QUADRATIC, 1e-14);
}
END_TEST

/* v is held: where it is the x itself, and where it is the gradient. */
START_TEST(derivatives_hvp_holds_its_vector)
{
    reel_tensor a = derivatives_variable(REEL_SHAPE(QUADRATIC, QUADRATIC)), g;
    reel_tensor x = derivatives_variable(REEL_SHAPE(QUADRATIC)), y = quadratic_form(a, x), product[2];
    double h[QUADRATIC * QUADRATIC], buffer[DERIVATIVES_MOST];
    quadratic_hessian(a, h);
    reel_gradient(y, REEL_TENSORS(x), &g);
    const reel_tensor vector[] = {x, g, reel_affine(x, 2, 0)};
    for (int k = 0; k < 3; k++) {
        double hv[QUADRATIC] = {0};
        const double *v = derivatives_read(vector[k], buffer);
        for (int i = 0; i < QUADRATIC; i++)
            for (int j = 0; j < QUADRATIC; j++)
                hv[i] += h[i * QUADRATIC + j] * v[j];
        ck_assert(reel_hvp(y, REEL_TENSORS(x), REEL_TENSORS(vector[k]), product));
        derivatives_near(product[0], hv, 1e-13);
        reel_tensor none = reel_affine(a, 0, 0);
        ck_assert(reel_hvp(y, REEL_TENSORS(x, a), REEL_TENSORS(vector[k], none), product));
        derivatives_near(product[0], hv, 1e-13);
    }
}
END_TEST

/* d2 y/dx_i da_kl = (delta_ik x_l + delta_il x_k) / 2 */
START_TEST(derivatives_mixed_block)
{
    reel_tensor a = derivatives_variable(REEL_SHAPE(QUADRATIC, QUADRATIC));
    reel_tensor x = derivatives_variable(REEL_SHAPE(QUADRATIC));
    double buffer[DERIVATIVES_MOST], want[QUADRATIC][QUADRATIC][QUADRATIC];
    const double *at = derivatives_read(x, buffer);
    for (int i = 0; i < QUADRATIC; i++)
        for (int k = 0; k < QUADRATIC; k++)
            for (int l = 0; l < QUADRATIC; l++)
                want[i][k][l] = ((i == k) * at[l] + (i == l) * at[k]) / 2;
    reel_tensor block = reel_hessian(quadratic_form(a, x), x, a);
    derivatives_shape_is(block, REEL_SHAPE(QUADRATIC, QUADRATIC, QUADRATIC));
    derivatives_near(block, &want[0][0][0], 1e-14);
}
END_TEST

/* Two xs at once: with y = x' A x / 2, H (v, M) has the part (A + A') v / 2 + (M + M') x / 2 for x. */
START_TEST(derivatives_hvp_of_two_xs)
{
    reel_shape square = REEL_SHAPE(QUADRATIC, QUADRATIC), line = REEL_SHAPE(QUADRATIC);
    reel_tensor a = derivatives_variable(square), x = derivatives_variable(line), product[2];
    reel_tensor m = derivatives_variable(square), v = derivatives_variable(line);
    ck_assert(reel_hvp(quadratic_form(a, x), REEL_TENSORS(x, a), REEL_TENSORS(v, m), product));
    double h[QUADRATIC * QUADRATIC], g[QUADRATIC * QUADRATIC];
    double first[DERIVATIVES_MOST], second[DERIVATIVES_MOST];
    double for_x[QUADRATIC] = {0}, for_a[QUADRATIC * QUADRATIC];
    quadratic_hessian(a, h);
    quadratic_hessian(m, g);
    const double *of_x = derivatives_read(x, first), *of_v = derivatives_read(v, second);
    for (int i = 0; i < QUADRATIC; i++)
        for (int j = 0; j < QUADRATIC; j++) {
            for_x[i] += h[i * QUADRATIC + j] * of_v[j] + g[i * QUADRATIC + j] * of_x[j];
            for_a[i * QUADRATIC + j] = (of_v[i] * of_x[j] + of_x[i] * of_v[j]) / 2;
        }
    derivatives_near(product[0], for_x, 1e-13);
    derivatives_near(product[1], for_a, 1e-13);
}
END_TEST


/* ---- Jacobians and their products ---------------------------------------------------------------- */

START_TEST(derivatives_jacobian_of_tanh)
{
    reel_tensor x = derivatives_variable(REEL_SHAPE(2, 3));
    double buffer[DERIVATIVES_MOST], want[6][6] = {{0}};
    const double *at = derivatives_read(x, buffer);
    for (int i = 0; i < 6; i++)
        want[i][i] = 1 - tanh(at[i]) * tanh(at[i]);
    reel_tensor y = reel_tanh(x), jacobian = reel_jacobian(y, x);
    derivatives_shape_is(jacobian, REEL_SHAPE(2, 3, 2, 3));
    derivatives_near(jacobian, &want[0][0], 1e-15);
    derivatives_shape_is(reel_jacobian_row(y, x, 4), REEL_SHAPE(2, 3));
    derivatives_near(reel_jacobian_row(y, x, 4), want[4], 1e-15);
}
END_TEST

/* d(A B)_ij / dA_kl = delta_ik B_lj; and of a transposed product, which is a view. */
START_TEST(derivatives_jacobian_of_a_product)
{
    reel_tensor a = derivatives_variable(REEL_SHAPE(2, 3)), b = derivatives_variable(REEL_SHAPE(3, 4));
    double buffer[DERIVATIVES_MOST], want[2][4][2][3], turned[4][2][2][3];
    const double *of_b = derivatives_read(b, buffer);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++)
            for (int k = 0; k < 2; k++)
                for (int l = 0; l < 3; l++)
                    turned[j][i][k][l] = want[i][j][k][l] = (i == k) * of_b[l * 4 + j];
    reel_tensor y = reel_matmul(a, b);
    derivatives_near(reel_jacobian(y, a), &want[0][0][0][0], 1e-15);
    derivatives_near(reel_jacobian(reel_transpose(y), a), &turned[0][0][0][0], 1e-15);
}
END_TEST

/* d(A B) along (S, T) = S B + A T. */
START_TEST(derivatives_jvp_of_a_product)
{
    reel_shape left = REEL_SHAPE(2, 3), right = REEL_SHAPE(3, 4);
    reel_tensor a = derivatives_variable(left), b = derivatives_variable(right);
    reel_tensor s = derivatives_draw(REEL_F64, left, false), t = derivatives_draw(REEL_F64, right, false);
    reel_tensor moved = reel_jvp(reel_matmul(a, b), REEL_TENSORS(a, b), REEL_TENSORS(s, t));
    reel_tensor want = reel_add(reel_matmul(s, b), reel_matmul(a, t));
    double buffer[DERIVATIVES_MOST];
    derivatives_shape_is(moved, REEL_SHAPE(2, 4));
    derivatives_near(moved, derivatives_read(want, buffer), 1e-14);
}
END_TEST

/* On a deeper graph: J t from the JVP and from the rows of J, u' J from the VJP and from them. */
START_TEST(derivatives_products_agree_with_rows)
{
    enum { IN = 5, OUT = 4 };
    reel_tensor x = derivatives_variable(REEL_SHAPE(IN)), w = derivatives_variable(REEL_SHAPE(IN, OUT));
    reel_tensor t = derivatives_draw(REEL_F64, REEL_SHAPE(IN), false);
    reel_tensor u = derivatives_draw(REEL_F64, REEL_SHAPE(OUT), false);
    reel_tensor h = reel_tanh(reel_matmul(reel_reshape(reel_exp(x), REEL_SHAPE(1, IN)), w));
    reel_tensor y = reel_reshape(reel_add(reel_log_softmax(h, -1), reel_mul(h, h)), REEL_SHAPE(OUT)), back;
    double j_buffer[DERIVATIVES_MOST], t_buffer[DERIVATIVES_MOST], u_buffer[DERIVATIVES_MOST];
    double jt[OUT] = {0}, uj[IN] = {0};
    reel_tensor jacobian = reel_jacobian(y, x);
    const double *j = derivatives_read(jacobian, j_buffer), *of_t = derivatives_read(t, t_buffer);
    const double *of_u = derivatives_read(u, u_buffer);
    for (int k = 0; k < OUT; k++)
        for (int i = 0; i < IN; i++) {
            jt[k] += j[k * IN + i] * of_t[i];
            uj[i] += of_u[k] * j[k * IN + i];
        }
    derivatives_near(reel_jvp(y, REEL_TENSORS(x), REEL_TENSORS(t)), jt, 1e-13);
    ck_assert(reel_vjp(y, u, REEL_TENSORS(x), &back));
    derivatives_near(back, uj, 1e-13);
}
END_TEST

/* Of the sum of x^3: the Hessian is diag 6 x, and its Jacobian 6 where all three indices agree. */
START_TEST(derivatives_of_third_order)
{
    enum { N = 3 };
    reel_tensor x = derivatives_variable(REEL_SHAPE(N));
    reel_tensor third = reel_jacobian(reel_hessian(reel_mul(x, reel_mul(x, x)), x, x), x);
    double want[N][N][N] = {{{0}}};
    for (int i = 0; i < N; i++)
        want[i][i][i] = 6;
    derivatives_shape_is(third, REEL_SHAPE(N, N, N));
    derivatives_near(third, &want[0][0][0], 1e-15);
}
END_TEST

/* d/dx of J t, with y = exp(x) and t = 1: exp(x) again. */
START_TEST(derivatives_of_a_jvp)
{
    reel_tensor x = derivatives_variable(REEL_SHAPE(3)), y = reel_exp(x), again;
    reel_tensor moved = reel_jvp(y, REEL_TENSORS(x), REEL_TENSORS(reel_ones_like(x)));
    ck_assert(reel_gradient(moved, REEL_TENSORS(x), &again));
    double buffer[DERIVATIVES_MOST];
    derivatives_near(again, derivatives_read(y, buffer), 1e-14);
}
END_TEST


/* ---- The loss -------------------------------------------------------------------------------------- */

enum { LOSS_CLASSES = 5 };

typedef struct loss_case {
    reel_tensor logits, labels, loss;
    double      p[LOSS_CLASSES], sum;               /* softmax(logits), S                          */
} loss_case;

/* One row whose labels do not sum to 1. */
static loss_case loss_make(void)
{
    loss_case c = {.logits = derivatives_variable(REEL_SHAPE(LOSS_CLASSES)),
                   .labels = derivatives_variable(REEL_SHAPE(LOSS_CLASSES))};
    double z_buffer[DERIVATIVES_MOST], y_buffer[DERIVATIVES_MOST], total = 0;
    const double *z = derivatives_read(c.logits, z_buffer), *y = derivatives_read(c.labels, y_buffer);
    for (int i = 0; i < LOSS_CLASSES; i++) {
        c.p[i] = exp(z[i]);
        total += c.p[i];
        c.sum += y[i];
    }
    for (int i = 0; i < LOSS_CLASSES; i++)
        c.p[i] /= total;
    c.loss = reel_softmax_cross_entropy_with_logits(.labels = c.labels, .logits = c.logits);
    return c;
}

/* d2/dz dz = S (diag p - p p'), d2/dy dz = p_j - delta_ij, d2/dy dy = 0. */
START_TEST(derivatives_blocks_of_the_loss)
{
    loss_case c = loss_make();
    double zz[LOSS_CLASSES][LOSS_CLASSES], yz[LOSS_CLASSES][LOSS_CLASSES], zy[LOSS_CLASSES][LOSS_CLASSES];
    double yy[LOSS_CLASSES * LOSS_CLASSES] = {0};
    for (int i = 0; i < LOSS_CLASSES; i++)
        for (int j = 0; j < LOSS_CLASSES; j++) {
            zz[i][j] = c.sum * ((i == j) * c.p[i] - c.p[i] * c.p[j]);
            zy[j][i] = yz[i][j] = c.p[j] - (i == j);
        }
    derivatives_near(reel_hessian(c.loss, c.logits, c.logits), &zz[0][0], 1e-14);
    derivatives_near(reel_hessian(c.loss, c.labels, c.logits), &yz[0][0], 1e-14);
    derivatives_near(reel_hessian(c.loss, c.logits, c.labels), &zy[0][0], 1e-14);
    derivatives_near(reel_hessian(c.loss, c.labels, c.labels), yy, 0);
    derivatives_near(reel_hessian_row(c.loss, c.logits, c.logits, 3), zz[3], 1e-14);
}
END_TEST

/* H v = S (p v - p p'v); the JVP of the loss along (z', y') is (S p - y)' z' - (log p)' y'. */
START_TEST(derivatives_products_of_the_loss)
{
    loss_case c = loss_make();
    reel_tensor v = derivatives_draw(REEL_F64, REEL_SHAPE(LOSS_CLASSES), false);
    reel_tensor w = derivatives_draw(REEL_F64, REEL_SHAPE(LOSS_CLASSES), false), product;
    double v_buffer[DERIVATIVES_MOST], w_buffer[DERIVATIVES_MOST], y_buffer[DERIVATIVES_MOST];
    const double *of_v = derivatives_read(v, v_buffer), *of_w = derivatives_read(w, w_buffer);
    const double *y = derivatives_read(c.labels, y_buffer);
    double pv = 0, hv[LOSS_CLASSES], moved = 0;
    for (int i = 0; i < LOSS_CLASSES; i++) {
        pv += c.p[i] * of_v[i];
        moved += (c.sum * c.p[i] - y[i]) * of_v[i] - log(c.p[i]) * of_w[i];
    }
    for (int i = 0; i < LOSS_CLASSES; i++)
        hv[i] = c.sum * (c.p[i] * of_v[i] - c.p[i] * pv);
    ck_assert(reel_hvp(c.loss, REEL_TENSORS(c.logits), REEL_TENSORS(v), &product));
    derivatives_near(product, hv, 1e-14);
    derivatives_near(reel_jvp(c.loss, REEL_TENSORS(c.logits, c.labels), REEL_TENSORS(v, w)), &moved, 1e-13);
}
END_TEST


/* ---- Shapes and dtypes at their limits ----------------------------------------------------------- */

START_TEST(derivatives_where_nothing_depends)
{
    double zeros[16] = {0};
    reel_tensor x = derivatives_variable(REEL_SHAPE(3)), other = derivatives_variable(REEL_SHAPE(2));
    reel_tensor y = reel_exp(x), tangent = reel_ones_like(other), product;
    derivatives_near(reel_jvp(y, REEL_TENSORS(other), REEL_TENSORS(tangent)), zeros, 0);
    derivatives_near(reel_jacobian(y, other), zeros, 0);
    ck_assert(reel_hvp(y, REEL_TENSORS(other), REEL_TENSORS(tangent), &product));
    derivatives_near(product, zeros, 0);
    reel_tensor linear = reel_affine(x, 3, 1), hessian = reel_hessian(linear, x, x);
    derivatives_shape_is(hessian, REEL_SHAPE(3, 3));
    derivatives_near(hessian, zeros, 0);
    derivatives_near(reel_hessian(y, x, other), zeros, 0);
    reel_tensor stopped = reel_stop_gradient(y), ones = reel_ones_like(x);
    derivatives_near(reel_jvp(stopped, REEL_TENSORS(x), REEL_TENSORS(ones)), zeros, 0);
}
END_TEST

START_TEST(derivatives_scalars_and_no_elements)
{
    double one = 1, e = 0, buffer[DERIVATIVES_MOST];
    reel_tensor x = derivatives_variable(REEL_SHAPE()), none = derivatives_variable(REEL_SHAPE(0, 3));
    e = exp(derivatives_read(x, buffer)[0]);
    derivatives_shape_is(reel_jacobian(x, x), REEL_SHAPE());
    derivatives_near(reel_jacobian(x, x), &one, 0);
    derivatives_near(reel_hessian(reel_exp(x), x, x), &e, 1e-15);
    derivatives_shape_is(reel_jacobian(reel_exp(none), none), REEL_SHAPE(0, 3, 0, 3));
    derivatives_shape_is(reel_jacobian(reel_sum(none), none), REEL_SHAPE(0, 3));
    derivatives_shape_is(reel_jacobian(reel_mul(none, x), x), REEL_SHAPE(0, 3));
    derivatives_shape_is(reel_jvp(reel_exp(none), REEL_TENSORS(none), REEL_TENSORS(none)), REEL_SHAPE(0, 3));
    ck_assert_msg(!reel_failed(derivatives_tape), "%s", reel_error_message(derivatives_tape));
}
END_TEST

/* xs of different dtypes: their tangents meet in one inner product. With y = w x^2 and its sum over x:
 * H (v, s) = (2 w v + 2 s x, sum 2 x v). */
START_TEST(derivatives_of_mixed_dtypes)
{
    reel_tensor x = reel_variable(derivatives_tape, REEL_SHAPE(2), REEL_F16_VALUES(1, 2));
    reel_tensor w = reel_variable(derivatives_tape, REEL_SHAPE(), REEL_F64_VALUES(3));
    reel_tensor v = reel_constant(derivatives_tape, REEL_SHAPE(2), REEL_F16_VALUES(1, -1));
    reel_tensor s = reel_constant(derivatives_tape, REEL_SHAPE(), REEL_F64_VALUES(.5)), product[2];
    reel_tensor y = reel_mul(w, reel_cast(reel_mul(x, x), REEL_F64));
    ck_assert(reel_hvp(y, REEL_TENSORS(x, w), REEL_TENSORS(v, s), product));
    ck_assert_int_eq(reel_dtype_of(product[0]), REEL_F16);
    ck_assert_int_eq(reel_dtype_of(product[1]), REEL_F64);
    derivatives_near(product[0], (const double[]){7, -4}, 0);
    derivatives_near(product[1], (const double[]){-2}, 0);
    ck_assert_int_eq(reel_dtype_of(reel_jacobian(y, x)), REEL_F16);
    ck_assert_int_eq(reel_dtype_of(reel_jvp(y, REEL_TENSORS(x, w), REEL_TENSORS(v, s))), REEL_F64);
}
END_TEST

/* With x = 250 in f16 the square overflows, and x^2 sums to more still; J t = 2 x t does not. */
START_TEST(derivatives_jvp_near_overflow)
{
    reel_tensor x = reel_variable(derivatives_tape, REEL_SHAPE(2), REEL_F16_VALUES(200, 250));
    reel_tensor moved = reel_jvp(reel_mul(x, x), REEL_TENSORS(x), REEL_TENSORS(reel_ones_like(x)));
    derivatives_near(moved, (const double[]){400, 500}, 0);
}
END_TEST


/* ---- Replaying ----------------------------------------------------------------------------------- */

START_TEST(derivatives_replay)
{
    reel_tensor a = derivatives_variable(REEL_SHAPE(QUADRATIC, QUADRATIC));
    reel_tensor x = derivatives_variable(REEL_SHAPE(QUADRATIC));
    double e[QUADRATIC], again[QUADRATIC * QUADRATIC];
    reel_tensor v = reel_constant(derivatives_tape, REEL_SHAPE(QUADRATIC), reel_fill(REEL_F64, 0)), product;
    reel_mark from = reel_tape_mark(derivatives_tape);
    reel_tensor y = reel_log(reel_affine(reel_tanh(quadratic_form(a, x)), .5, 2));
    ck_assert(reel_hvp(y, REEL_TENSORS(x), REEL_TENSORS(v), &product));
    reel_section whole = reel_tape_section(from, reel_tape_mark(derivatives_tape));
    reel_section pruned = reel_section_prune(whole, REEL_TENSORS(product));
    uint64_t calls = reel_tape_statistics(derivatives_tape).allocator_calls;
    for (int i = 0; i < QUADRATIC; i++) {
        memset(e, 0, sizeof e);
        e[i] = 1;
        reel_write(v, reel_values_of(REEL_F64, e, QUADRATIC));
        ck_assert(reel_tape_replay(i % 2 ? whole : pruned));
        ck_assert_uint_eq(reel_tape_statistics(derivatives_tape).allocator_calls, calls);
        derivatives_read(product, again + i * QUADRATIC);
    }
    derivatives_near(reel_hessian(y, x, x), again, 1e-13);
}
END_TEST

/* In f64 the section gives what the same graph gives that was f64 from the start. */
START_TEST(derivatives_in_f64)
{
    reel_tensor x = derivatives_draw(REEL_F32, REEL_SHAPE(3), true);
    reel_mark from = reel_tape_mark(derivatives_tape);
    reel_tensor small = reel_hessian(reel_logsumexp(x), x, x);
    reel_section section = reel_tape_section(from, reel_tape_mark(derivatives_tape));
    reel_tensor large = reel_counterpart(reel_section_in_f64(section), small);
    reel_tensor wide = reel_variable(derivatives_tape, REEL_SHAPE(3), reel_fill(REEL_F64, 0));
    double at[3], want[DERIVATIVES_MOST];
    reel_read_f64(x, at, 3);
    reel_write(wide, reel_values_of(REEL_F64, at, 3));
    derivatives_read(reel_hessian(reel_logsumexp(wide), wide, wide), want);
    ck_assert_int_eq(reel_dtype_of(large), REEL_F64);
    derivatives_near(large, want, 0);
    derivatives_near(small, want, 1e-6);
}
END_TEST


/* ---- Errors -------------------------------------------------------------------------------------- */

START_TEST(derivatives_vectors_must_match)
{
    reel_tensor product;
    reel_tensor x = derivatives_variable(REEL_SHAPE(3)), other = derivatives_variable(REEL_SHAPE(1));
    ck_assert(!reel_is_valid(reel_jvp(reel_exp(x), REEL_TENSORS(x), REEL_TENSORS(other))));
    derivatives_error("jvp: vector 1, [1] f64, does not match its x, [3] f64");
    x = derivatives_variable(REEL_SHAPE(3));
    ck_assert(!reel_hvp(reel_exp(x), REEL_TENSORS(x), REEL_TENSORS(x, x), &product));
    ck_assert(!reel_is_valid(product));
    derivatives_error("hvp: 2 vectors for 1 xs");
    x = derivatives_variable(REEL_SHAPE(3));
    other = derivatives_draw(REEL_F32, REEL_SHAPE(3), false);
    ck_assert(!reel_hvp(reel_exp(x), REEL_TENSORS(x), REEL_TENSORS(other), &product));
    derivatives_error("hvp: vector 1, [3] f32, does not match its x, [3] f64");
    x = derivatives_variable(REEL_SHAPE(3));
    ck_assert(!reel_is_valid(reel_jvp(reel_exp(x), REEL_TENSORS(x), REEL_TENSORS(REEL_NONE))));
    derivatives_error("jvp: input 3 is none");
}
END_TEST

START_TEST(derivatives_other_errors)
{
    reel_tensor x = derivatives_variable(REEL_SHAPE(3)), y = reel_exp(x);
    reel_jacobian_row(y, x, 3);
    derivatives_error("there is no element 3 in [3] f64");
    x = derivatives_variable(REEL_SHAPE(3));
    reel_jacobian_row(reel_exp(x), x, -1);
    derivatives_error("there is no element -1 in [3] f64");
    x = derivatives_variable(REEL_SHAPE(1, 1, 1, 2, 1));
    reel_hessian(reel_exp(x), x, x);
    derivatives_error("would have rank 10; the most is 8");
    x = derivatives_draw(REEL_F64, REEL_SHAPE(3), false);
    reel_hessian(reel_exp(x), x, x);
    derivatives_error("no variable reaches");
    reel_tensor a = derivatives_variable(REEL_SHAPE(3)), b = derivatives_variable(REEL_SHAPE(2));
    reel_stack(REEL_TENSORS(a, b));
    derivatives_error("stack: input 2, [2] f64, differs from the first, [3] f64");
}
END_TEST

/* All of it on a tape whose request number `fail_at` fails, then once more with memory back; false when
 * there was no such request. */
static bool derivatives_survive(uint64_t fail_at, double *want, test_report *report)
{
    test_memory memory = {.fail_at = fail_at};
    reel_tape *tape = test_tape_on(&memory, .each_request = true);
    for (int again = 0; tape && again < 2; again++) {
        reel_mark start = reel_tape_mark(tape);
        reel_tensor x = reel_variable(tape, REEL_SHAPE(2), REEL_F64_VALUES(1, 2)), product;
        reel_tensor y = reel_mul(reel_exp(x), x);
        reel_hvp(y, REEL_TENSORS(x), REEL_TENSORS(x), &product);
        reel_tensor moved = reel_jvp(y, REEL_TENSORS(x), REEL_TENSORS(x));
        reel_tensor all = reel_add(reel_hessian(y, x, x), reel_add(moved, product));
        double got = reel_failed(tape) ? NAN : reel_item(reel_sum(all));
        if (!memory.refused && isnan(*want))
            *want = got;
        bool starved = memory.refused && strstr(reel_error_message(tape), "memory");
        if (reel_failed(tape) ? !starved : !(got == *want))
            test_complain(report, "request %d: %g %s", (int)fail_at, got, reel_error_message(tape));
        memory.fail_at = 0;
        reel_tape_rewind(tape, start);
        reel_error_clear(tape);
    }
    bool refused = memory.refused > 0;
    reel_tape_free(tape);
    test_memory_check(&memory, report);
    return refused;
}

START_TEST(derivatives_survive_starving)
{
    test_report report = {0};
    double want = NAN;
    derivatives_survive(0, &want, &report);
    uint64_t request = 1;
    while (derivatives_survive(request, &want, &report))
        request++;
    ck_assert_uint_gt(request, 50);
    test_assert_clean(&report);
}
END_TEST

static TCase *derivatives_case(Suite *suite, const char *name)
{
    TCase *c = tcase_create(name);
    tcase_add_checked_fixture(c, derivatives_setup, derivatives_teardown);
    tcase_set_timeout(c, 60);
    suite_add_tcase(suite, c);
    return c;
}

Suite *reel_suite_derivatives(void);

Suite *reel_suite_derivatives(void)
{
    Suite *suite = suite_create("derivatives");
    TCase *c = derivatives_case(suite, "closed forms");
    tcase_add_test(c, derivatives_of_a_quadratic_form);
    tcase_add_test(c, derivatives_mixed_block);
    tcase_add_test(c, derivatives_hvp_of_two_xs);
    tcase_add_test(c, derivatives_hvp_holds_its_vector);
    tcase_add_test(c, derivatives_jacobian_of_tanh);
    tcase_add_test(c, derivatives_jacobian_of_a_product);
    tcase_add_test(c, derivatives_jvp_of_a_product);
    tcase_add_test(c, derivatives_products_agree_with_rows);
    tcase_add_test(c, derivatives_of_third_order);
    tcase_add_test(c, derivatives_of_a_jvp);
    tcase_add_test(c, derivatives_blocks_of_the_loss);
    tcase_add_test(c, derivatives_products_of_the_loss);
    c = derivatives_case(suite, "limits");
    tcase_add_test(c, derivatives_where_nothing_depends);
    tcase_add_test(c, derivatives_scalars_and_no_elements);
    tcase_add_test(c, derivatives_of_mixed_dtypes);
    tcase_add_test(c, derivatives_jvp_near_overflow);
    tcase_add_test(c, derivatives_replay);
    tcase_add_test(c, derivatives_in_f64);
    c = derivatives_case(suite, "errors");
    tcase_add_test(c, derivatives_vectors_must_match);
    tcase_add_test(c, derivatives_other_errors);
    tcase_add_test(c, derivatives_survive_starving);
    return suite;
}
