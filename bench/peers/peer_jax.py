"""JAX: each step one jitted function, weights and velocities donated.

Steps are queued and waited for at the end of a round (mode `queued`), or one by one (mode `waited`). The
epoch is 390 calls (`steps`), or one call with the loop inside (`scan`).
"""
import jax
import jax.numpy as jnp
from jax import lax

import peer


def modes(step):
    return {"queued": peer.Job(step, jax.block_until_ready),
            "waited": peer.Job(lambda: jax.block_until_ready(step()))}


def dense_loss(logits, labels):
    return -jnp.mean(jnp.sum(labels * jax.nn.log_softmax(logits), -1))


def sparse_loss(logits, labels):
    own = jnp.take_along_axis(logits, labels[:, None], -1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(logits, -1) - own)


def xent(workload):
    kind = workload.split("_")[1]
    rows, classes = peer.size_of(workload)
    logits = jnp.asarray(peer.logits_of(rows, classes))
    labels_of = peer.sparse_labels_of if kind == "sparse" else peer.labels_of
    labels = jnp.asarray(labels_of(rows, classes))
    loss = sparse_loss if kind == "sparse" else dense_loss
    compiled = jax.jit(jax.value_and_grad(loss, (0, 1) if kind == "v2" else 0))
    return modes(lambda: compiled(logits, labels))


def hvp(workload):
    rows, classes = peer.size_of(workload)
    logits, labels, direction = (jnp.asarray(x) for x in (
        peer.logits_of(rows, classes), peer.labels_of(rows, classes), peer.logits_of(rows, classes, seed=4)))

    @jax.jit
    def compiled(logits, labels, direction):
        gradient = jax.grad(lambda x: dense_loss(x, labels))
        return jax.jvp(gradient, (logits,), (direction,))[1]
    return modes(lambda: compiled(logits, labels, direction))


def model(parameters, x):
    *hidden, (w, b) = zip(parameters[::2], parameters[1::2])
    for v, c in hidden:
        x = jax.nn.relu(x @ v + c)
    return x @ w + b


def train_step(parameters, velocities, x, labels):
    """The loss, and what the parameters and velocities become."""
    loss, gradients = jax.value_and_grad(lambda p: sparse_loss(model(p, x), labels))(parameters)
    velocities = [peer.MOMENTUM * v + g for v, g in zip(velocities, gradients)]
    return loss, [p - peer.RATE * v for p, v in zip(parameters, velocities)], velocities


def trained(sizes):
    """Runs a donating step: (parameters, velocities, ...) to (loss, parameters, velocities)."""
    parameters = [jnp.asarray(p) for p in peer.layers_of(sizes)]
    state = parameters, [jnp.zeros_like(p) for p in parameters]

    def run(compiled, *arguments):
        nonlocal state
        loss, *state = compiled(*state, *arguments)
        return loss, state
    return run


def batch(images, labels, i):
    x = lax.dynamic_slice_in_dim(images, i * peer.BATCH, peer.BATCH)
    if x.dtype == jnp.uint8:
        x = (x.astype(jnp.float32) - 120) * (1 / 64)
    return x, lax.dynamic_slice_in_dim(labels, i * peer.BATCH, peer.BATCH)


def linear_epoch(workload):
    dtype = peer.np.uint8 if workload.endswith("u8") else peer.np.float32
    images = jnp.asarray(peer.images_of(peer.IMAGES, dtype))
    labels = jnp.asarray(peer.sparse_labels_of(peer.IMAGES, peer.CLASSES))
    run_steps, run_scan = (trained((peer.INPUTS, peer.CLASSES)) for _ in range(2))

    def one(parameters, velocities, images, labels, i):
        return train_step(parameters, velocities, *batch(images, labels, i))

    def epoch(parameters, velocities, images, labels):
        def body(state, i):
            loss, *state = one(*state, images, labels, i)
            return state, loss
        state, losses = lax.scan(body, [parameters, velocities], jnp.arange(peer.BATCHES))
        return losses, *state
    step, scan = (jax.jit(f, donate_argnums=(0, 1)) for f in (one, epoch))

    def steps():
        for i in range(peer.BATCHES):
            result = run_steps(step, images, labels, i)
        return result
    return {"steps": peer.Job(steps, jax.block_until_ready),
            "scan": peer.Job(lambda: run_scan(scan, images, labels), jax.block_until_ready)}


def mlp_step(_):
    images = jnp.asarray(peer.images_of(peer.BATCH, peer.np.float32))
    labels = jnp.asarray(peer.sparse_labels_of(peer.BATCH, peer.CLASSES))
    run = trained((peer.INPUTS, peer.HIDDEN, peer.CLASSES))
    compiled = jax.jit(train_step, donate_argnums=(0, 1))
    return modes(lambda: run(compiled, images, labels))


def chain(_):
    def end(a, b):
        y = a
        for _ in range(peer.LINKS):
            y = y * a
            y = y + b
        return y
    a, b = jnp.float64(.999), jnp.float64(.001)
    compiled = jax.jit(jax.value_and_grad(end, (0, 1)))
    return modes(lambda: compiled(a, b))


def first_step(x, labels):
    parameters = [jnp.zeros((4, 3)), jnp.zeros(3)]
    compiled = jax.jit(train_step, donate_argnums=(0, 1))
    loss, *state = compiled(parameters, [jnp.zeros_like(p) for p in parameters], x, labels)
    jax.block_until_ready(state)
    return float(loss)


def jobs_of(workload):
    jax.config.update("jax_enable_x64", workload.startswith("chain"))
    for start, make in (("xent", xent), ("hvp", hvp), ("linear", linear_epoch), ("mlp", mlp_step),
                        ("chain", chain)):
        if workload.startswith(start):
            return make(workload)
    return {}


if __name__ == "__main__":
    options = peer.arguments()
    if options.first_step:
        peer.first_step(first_step)
    else:
        peer.serve("jax", options.threads, jobs_of)
