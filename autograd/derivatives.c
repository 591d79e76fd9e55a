/* Derivatives as calls. With J = dy/dx and H the second derivative of the sum of y:
 *
 *     VJP    u' J              one reverse sweep, from the upstream gradient u
 *     JVP    J t = d(u' J t)/du        for any u: two reverse sweeps
 *     HVP    H v = d(g' v)/dx          where g is the gradient of y, and v is held: two reverse sweeps
 *     row k of J               the gradient of y's element k
 *     J      all its rows, put together
 *     H      the Jacobian of the gradient
 *
 * The sweep records what it does as ordinary ops, so each of these is a few lines. J t by way of u' J is
 * the double-VJP trick: u' J is linear in u, and its derivative by u is J itself. (J. Townsend, "A new
 * trick for calculating Jacobian vector products", 2017.) H v without H: B. Pearlmutter, "Fast exact
 * multiplication by the Hessian", 1994. */
#include "autograd/tape.h"
#include "core/shape.h"

static reel_tensor derivative_failed(reel_tape *tape)
{
    return (reel_tensor){tape, 0, 0};
}

/* ---- Products ------------------------------------------------------------------------------------------ */

bool reel_vjp_at(REEL_PLACE, reel_tensor y, reel_tensor upstream, reel_tensors xs, reel_tensor *gradients)
{
    return reel_gradient_at(file, line, REEL_OPTIONS(reel_gradient_options, .y = y, .xs = xs,
                                                     .gradients = gradients, .upstream = upstream));
}

/* One vector for each x, with its dtype and shape: broadcasting would hide a mistake. */
static bool vectors_match(REEL_PLACE, const char *what, reel_tape *tape, reel_tensors xs,
                          reel_tensors vectors)
{
    if (xs.count != vectors.count || !xs.count)
        return reel_tape_fail(tape, file, line, what, "%zu vectors for %zu xs", vectors.count, xs.count);
    for (size_t i = 0; i < xs.count; i++) {
        reel_tensor x = xs.tensor[i], v = vectors.tensor[i];
        if (!reel_usable_input(tape, file, line, what, (int)i + 1, x) ||
            !reel_usable_input(tape, file, line, what, (int)(xs.count + i) + 1, v))
            return false;
        reel_shape a = reel_shape_of(x), b = reel_shape_of(v);
        if (reel_dtype_of(x) != reel_dtype_of(v) || !reel_same_sizes(a.rank, a.size, b.rank, b.size))
            return reel_tape_fail(tape, file, line, what, "vector %zu, %s, does not match its x, %s", i + 1,
                                  reel_describe(v).text, reel_describe(x).text);
    }
    return true;
}

/* sum_i a_i' b_i. Only its derivative is wanted, so it may overflow, or round in the first one's dtype. */
static reel_tensor inner_product(REEL_PLACE, const reel_tensor *a, reel_tensors b)
{
    reel_tensor sum = REEL_NONE;
    for (size_t i = 0; i < b.count; i++) {
        reel_tensor products = reel_mul_at(file, line, a[i], b.tensor[i]);
        reel_tensor term = reel_sum_at(file, line, REEL_OPTIONS(reel_reduce_options, .x = products));
        if (i > 0 && reel_dtype_of(term) != reel_dtype_of(sum))
            term = reel_cast_at(file, line, term, reel_dtype_of(sum));
        sum = i == 0 ? term : reel_add_at(file, line, sum, term);
    }
    return sum;
}

/* The gradients of y as ordinary values, for a sweep through them. */
static reel_tensor *first_gradients(REEL_PLACE, const char *what, reel_tensor y, reel_tensor upstream,
                                    reel_tensors xs)
{
    reel_tensor *g = reel_tape_get(y.tape, xs.count * sizeof *g);
    if (!g)
        reel_tape_out_of_memory(y.tape, file, line, what, xs.count * sizeof *g);
    return g && reel_vjp_at(file, line, y, upstream, xs, g) ? g : NULL;
}

reel_tensor reel_jvp_at(REEL_PLACE, reel_tensor y, reel_tensors xs, reel_tensors tangents)
{
    reel_tape *tape = y.tape;
    reel_tensor product = derivative_failed(tape);
    if (!reel_usable(file, line, "jvp", y) || !vectors_match(file, line, "jvp", tape, xs, tangents))
        return product;
    reel_tensor u = reel_variable_at(file, line, tape, reel_shape_of(y), reel_fill(reel_dtype_of(y), 0));
    reel_tensor *g = first_gradients(file, line, "jvp", y, u, xs);
    if (g)
        reel_vjp_at(file, line, inner_product(file, line, g, tangents), REEL_NONE, REEL_TENSORS(u), &product);
    return product;
}

/* Whether a sweep of an inner product with v could come to an x through v. */
static bool vectors_stand_alone(const reel_tape *tape, reel_tensors xs, reel_tensors vectors)
{
    for (size_t j = 0; j < vectors.count; j++) {
        if (reel_node_at(tape, vectors.tensor[j].node)->op)
            return false;
        for (size_t i = 0; i < xs.count; i++)
            if (xs.tensor[i].node == vectors.tensor[j].node)
                return false;
    }
    return true;
}

/* products[i] = sum_j v_j' dg_j/dx_i, with a sweep for each j. The v_j are its upstream, through which no sweep goes. */
static bool vjp_of_all(REEL_PLACE, const char *what, const reel_tensor *g, reel_tensors vectors, reel_tensors xs,
                       reel_tensor *products)
{
    reel_tape *tape = g[0].tape;
    reel_tensor *part = reel_tape_get(tape, xs.count * sizeof *part);
    if (!part)
        return reel_tape_out_of_memory(tape, file, line, what, xs.count * sizeof *part);
    for (size_t j = 0; j < vectors.count; j++) {
        if (!reel_vjp_at(file, line, g[j], vectors.tensor[j], xs, part))
            return false;
        for (size_t i = 0; i < xs.count; i++)
            products[i] = j ? reel_add_at(file, line, products[i], part[i]) : part[i];
    }
    return !reel_failed(tape);
}

bool reel_hvp_at(REEL_PLACE, reel_tensor y, reel_tensors xs, reel_tensors vectors, reel_tensor *products)
{
    reel_tape *tape = y.tape;
    for (size_t i = 0; products && i < xs.count; i++)
        products[i] = derivative_failed(tape);
    if (!reel_usable(file, line, "hvp", y) || !vectors_match(file, line, "hvp", tape, xs, vectors))
        return false;
    reel_tensor *g = first_gradients(file, line, "hvp", y, REEL_NONE, xs);
    if (!g || !products)
        return g && reel_tape_fail(tape, file, line, "hvp", "there is no room for the products: it is NULL");
    if (xs.count > 1 && vectors_stand_alone(tape, xs, vectors))
        return reel_vjp_at(file, line, inner_product(file, line, g, vectors), REEL_NONE, xs, products);
    return vjp_of_all(file, line, "hvp", g, vectors, xs, products);
}

/* ---- Whole derivatives --------------------------------------------------------------------------------- */

/* The elements of y in a row. */
static reel_tensor flat_view(REEL_PLACE, reel_tensor y)
{
    return reel_reshape_at(file, line, y, REEL_SHAPE(reel_count(y)));
}

static reel_tensor jacobian_row(REEL_PLACE, reel_tensor flat_y, reel_tensor x, int64_t k)
{
    reel_tensor element = reel_slice_at(file, line, flat_y, 0, k, k + 1, 1);
    reel_tensor row = derivative_failed(flat_y.tape);
    reel_vjp_at(file, line, element, REEL_NONE, REEL_TENSORS(x), &row);
    return row;
}

reel_tensor reel_jacobian_row_at(REEL_PLACE, reel_tensor y, reel_tensor x, int64_t element)
{
    reel_tensor failed = derivative_failed(y.tape);
    if (!reel_usable(file, line, "jacobian", y))
        return failed;
    if (element >= 0 && element < reel_count(y))
        return jacobian_row(file, line, flat_view(file, line, y), x, element);
    reel_tape_fail(y.tape, file, line, "jacobian", "there is no element %lld in %s", (long long)element,
                   reel_describe(y).text);
    return failed;
}

/* y's shape followed by x's. */
static bool joined_shape(REEL_PLACE, reel_tensor y, reel_tensor x, reel_shape *joined)
{
    reel_shape of_x = reel_shape_of(x);
    *joined = reel_shape_of(y);
    if (joined->rank + of_x.rank > REEL_MAX_RANK)
        return reel_tape_fail(y.tape, file, line, "jacobian",
                              "d %s / d %s would have rank %d; the most is %d", reel_describe(y).text,
                              reel_describe(x).text, joined->rank + of_x.rank, REEL_MAX_RANK);
    for (int i = 0; i < of_x.rank; i++)
        joined->size[joined->rank++] = of_x.size[i];
    return true;
}

reel_tensor reel_jacobian_at(REEL_PLACE, reel_tensor y, reel_tensor x)
{
    reel_tape *tape = y.tape;
    reel_tensor failed = derivative_failed(tape);
    reel_shape shape;
    if (!reel_usable(file, line, "jacobian", y) || !reel_usable_input(tape, file, line, "jacobian", 1, x) ||
        !joined_shape(file, line, y, x, &shape))
        return failed;
    int64_t rows = reel_count(y);
    if (rows == 0)
        return reel_constant_at(file, line, tape, shape, reel_fill(reel_dtype_of(x), 0));
    reel_tensor *row = reel_tape_get(tape, (size_t)rows * sizeof *row);
    if (!row) {
        reel_tape_out_of_memory(tape, file, line, "jacobian", (size_t)rows * sizeof *row);
        return failed;
    }
    reel_tensor flat_y = flat_view(file, line, y);
    for (int64_t k = 0; k < rows; k++)
        row[k] = jacobian_row(file, line, flat_y, x, k);
    return reel_reshape_at(file, line, reel_stack_at(file, line, reel_tensors_of(row, (size_t)rows)), shape);
}

reel_tensor reel_hessian_row_at(REEL_PLACE, reel_tensor y, reel_tensor a, reel_tensor b, int64_t element)
{
    reel_tensor gradient = derivative_failed(y.tape);
    reel_vjp_at(file, line, y, REEL_NONE, REEL_TENSORS(a), &gradient);
    return reel_jacobian_row_at(file, line, gradient, b, element);
}

reel_tensor reel_hessian_at(REEL_PLACE, reel_tensor y, reel_tensor a, reel_tensor b)
{
    reel_tensor gradient = derivative_failed(y.tape);
    reel_vjp_at(file, line, y, REEL_NONE, REEL_TENSORS(a), &gradient);
    return reel_jacobian_at(file, line, gradient, b);
}
