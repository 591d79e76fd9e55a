"""PyTorch, eager: tensors made beforehand, gradients set to None, its fused SGD."""
import torch
import torch.nn.functional as F

import peer


def backward(loss, tensors):
    """One step: the loss and the gradients of `tensors`, as loss.backward() leaves them."""
    def step():
        for tensor in tensors:
            tensor.grad = None
        value = loss()
        value.backward()
        return value
    return step


def xent(workload):
    kind = workload.split("_")[1]
    rows, classes = peer.size_of(workload)
    logits = torch.from_numpy(peer.logits_of(rows, classes)).requires_grad_()
    if kind == "sparse":
        labels = torch.from_numpy(peer.sparse_labels_of(rows, classes)).long()
    else:
        labels = torch.from_numpy(peer.labels_of(rows, classes)).requires_grad_(kind == "v2")
    tensors = [logits, labels] if kind == "v2" else [logits]
    return {"eager": peer.Job(backward(lambda: F.cross_entropy(logits, labels), tensors))}


def hvp(workload):
    rows, classes = peer.size_of(workload)
    logits = torch.from_numpy(peer.logits_of(rows, classes)).requires_grad_()
    labels = torch.from_numpy(peer.labels_of(rows, classes))
    direction = torch.from_numpy(peer.logits_of(rows, classes, seed=4))

    def step():
        gradient, = torch.autograd.grad(F.cross_entropy(logits, labels), logits, create_graph=True)
        return torch.autograd.grad(gradient, logits, direction)[0]
    return {"eager": peer.Job(step)}


def make_model(sizes):
    """torch.nn.Linear layers with ReLU between them, and their optimiser."""
    layers = []
    for n, m in zip(sizes, sizes[1:]):
        layers += [torch.nn.Linear(n, m), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimiser = torch.optim.SGD(model.parameters(), lr=peer.RATE, momentum=peer.MOMENTUM, fused=True)
    return model, optimiser


def load_parameters(model, sizes):
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), peer.layers_of(sizes)):
            parameter.copy_(torch.from_numpy(value.T))


def train_step(model, optimiser, x, labels):
    optimiser.zero_grad(set_to_none=True)
    loss = F.cross_entropy(model(x), labels)
    loss.backward()
    optimiser.step()
    return loss


def linear_epoch(workload):
    bytes_ = workload.endswith("u8")
    images = torch.from_numpy(peer.images_of(peer.IMAGES, peer.np.uint8 if bytes_ else peer.np.float32))
    labels = torch.from_numpy(peer.sparse_labels_of(peer.IMAGES, peer.CLASSES)).long()
    model, optimiser = make_model((peer.INPUTS, peer.CLASSES))
    load_parameters(model, (peer.INPUTS, peer.CLASSES))

    def step():
        for first in range(0, peer.BATCHES * peer.BATCH, peer.BATCH):
            x = images[first:first + peer.BATCH]
            if bytes_:
                x = x.float().sub_(120).mul_(1 / 64)
            loss = train_step(model, optimiser, x, labels[first:first + peer.BATCH])
        return loss
    return {"eager": peer.Job(step)}


def mlp_step(_):
    sizes = (peer.INPUTS, peer.HIDDEN, peer.CLASSES)
    images = torch.from_numpy(peer.images_of(peer.BATCH, peer.np.float32))
    labels = torch.from_numpy(peer.sparse_labels_of(peer.BATCH, peer.CLASSES)).long()
    model, optimiser = make_model(sizes)
    load_parameters(model, sizes)
    return {"eager": peer.Job(lambda: train_step(model, optimiser, images, labels))}


def chain(_):
    a, b = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (.999, .001))

    def loss():
        y = a
        for _ in range(peer.LINKS):
            y = y * a
            y = y + b
        return y
    return {"eager": peer.Job(backward(loss, [a, b]))}


def gradcheck(workload):
    rows, classes = peer.size_of(workload)
    logits = torch.from_numpy(peer.logits_of(rows, classes, peer.np.float64)).requires_grad_()
    labels = torch.from_numpy(peer.labels_of(rows, classes, peer.np.float64)).requires_grad_()

    def loss(logits, labels):
        return F.cross_entropy(logits, labels, reduction="none")
    return {"eager": peer.Job(lambda: torch.autograd.gradcheck(loss, (logits, labels)))}


def first_step(x, labels):
    model, optimiser = make_model((4, 3))
    return train_step(model, optimiser, torch.from_numpy(x), torch.from_numpy(labels).long()).item()


def jobs_of(workload):
    for start, make in (("xent", xent), ("hvp", hvp), ("linear", linear_epoch), ("mlp", mlp_step),
                        ("chain", chain), ("gradcheck", gradcheck)):
        if workload.startswith(start):
            return make(workload)
    return {}


if __name__ == "__main__":
    options = peer.arguments()
    torch.set_num_threads(options.threads)
    if options.first_step:
        peer.first_step(first_step)
    else:
        torch.set_num_interop_threads(1)
        peer.serve("torch", options.threads, jobs_of)
