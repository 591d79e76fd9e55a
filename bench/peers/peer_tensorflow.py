"""TensorFlow: each step one tf.function with a GradientTape, its losses, and its fused momentum update.

The epoch is 390 calls (mode `steps`), or one call with the loop inside (`loop`).
"""
import tensorflow as tf

import peer


def materialised(result):
    return [tensor.numpy() for tensor in tf.nest.flatten(result)]


def function_job(step):
    return {"function": peer.Job(step, materialised)}


def dense_loss(logits, labels):
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, logits))


def sparse_loss(logits, labels):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def xent(workload):
    kind = workload.split("_")[1]
    rows, classes = peer.size_of(workload)
    logits = tf.constant(peer.logits_of(rows, classes))
    labels_of = peer.sparse_labels_of if kind == "sparse" else peer.labels_of
    labels = tf.constant(labels_of(rows, classes))
    loss_of = sparse_loss if kind == "sparse" else dense_loss

    @tf.function
    def step(logits, labels):
        wanted = [logits, labels] if kind == "v2" else [logits]
        with tf.GradientTape() as tape:
            tape.watch(wanted)
            loss = loss_of(logits, labels)
        return loss, tape.gradient(loss, wanted)
    return function_job(lambda: step(logits, labels))


def hvp(workload):
    rows, classes = peer.size_of(workload)
    logits, labels, direction = (tf.constant(x) for x in (
        peer.logits_of(rows, classes), peer.labels_of(rows, classes), peer.logits_of(rows, classes, seed=4)))

    @tf.function
    def step(logits, labels, direction):
        with tf.GradientTape() as outer:
            outer.watch(logits)
            with tf.GradientTape() as inner:
                inner.watch(logits)
                loss = dense_loss(logits, labels)
            gradient = inner.gradient(loss, logits)
        return outer.gradient(gradient, logits, output_gradients=direction)
    return function_job(lambda: step(logits, labels, direction))


class Model:
    """Layers with ReLU between them, and a step of SGD with momentum on them."""

    def __init__(self, sizes):
        self.parameters = [tf.Variable(p) for p in peer.layers_of(sizes)]
        self.velocities = [tf.Variable(tf.zeros_like(p)) for p in self.parameters]

    def logits(self, x):
        *hidden, (w, b) = zip(self.parameters[::2], self.parameters[1::2])
        for v, c in hidden:
            x = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, v), c))
        return tf.nn.bias_add(tf.matmul(x, w), b)

    def step(self, x, labels):
        with tf.GradientTape() as tape:
            loss = sparse_loss(self.logits(x), labels)
        for p, v, g in zip(self.parameters, self.velocities, tape.gradient(loss, self.parameters)):
            tf.raw_ops.ResourceApplyMomentum(var=p.handle, accum=v.handle, lr=peer.RATE, grad=g,
                                             momentum=peer.MOMENTUM)
        return loss


def linear_epoch(workload):
    dtype = peer.np.uint8 if workload.endswith("u8") else peer.np.float32
    images = tf.constant(peer.images_of(peer.IMAGES, dtype))
    labels = tf.constant(peer.sparse_labels_of(peer.IMAGES, peer.CLASSES))
    model = Model((peer.INPUTS, peer.CLASSES))
    firsts = [tf.constant(i * peer.BATCH) for i in range(peer.BATCHES)]

    def one(images, labels, first):
        x = images[first:first + peer.BATCH]
        if dtype == peer.np.uint8:
            x = (tf.cast(x, tf.float32) - 120) * (1 / 64)
        return model.step(tf.ensure_shape(x, (peer.BATCH, peer.INPUTS)), labels[first:first + peer.BATCH])
    step = tf.function(one)

    @tf.function
    def loop(images, labels):
        loss = 0.
        for first in tf.range(0, peer.BATCHES * peer.BATCH, peer.BATCH):
            loss = one(images, labels, first)
        return loss

    def steps():
        for first in firsts:
            loss = step(images, labels, first)
        return loss
    return {"steps": peer.Job(steps, materialised),
            "loop": peer.Job(lambda: loop(images, labels), materialised)}


def mlp_step(_):
    images = tf.constant(peer.images_of(peer.BATCH, peer.np.float32))
    labels = tf.constant(peer.sparse_labels_of(peer.BATCH, peer.CLASSES))
    step = tf.function(Model((peer.INPUTS, peer.HIDDEN, peer.CLASSES)).step)
    return function_job(lambda: step(images, labels))


def chain(_):
    a, b = tf.constant(.999, tf.float64), tf.constant(.001, tf.float64)

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            tape.watch([a, b])
            y = a
            for _ in range(peer.LINKS):
                y = y * a
                y = y + b
        return y, tape.gradient(y, [a, b])
    return function_job(lambda: step(a, b))


def first_step(x, labels):
    model = Model((4, 3))
    return tf.function(model.step)(tf.constant(x), tf.constant(labels)).numpy()


def jobs_of(workload):
    for start, make in (("xent", xent), ("hvp", hvp), ("linear", linear_epoch), ("mlp", mlp_step),
                        ("chain", chain)):
        if workload.startswith(start):
            return make(workload)
    return {}


if __name__ == "__main__":
    options = peer.arguments()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    if options.first_step:
        peer.first_step(first_step)
    else:
        peer.serve("tensorflow", options.threads, jobs_of)
