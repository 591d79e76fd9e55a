"""Makes the golden cases of this folder: torch.nn.functional.cross_entropy, with all its options.

    python make_golden.py OUTDIR

One file for each kind of target, dtype and rank; README.md says what is in them. The numbers are computed in
float64 from the inputs as stored; for float32 inputs PyTorch's own float32 results are kept as well. The same
PyTorch on the same kind of CPU writes the same bytes.
"""
import json
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F

SHAPES = {1: (5,), 2: (4, 5), 3: (2, 5, 3), 4: (2, 3, 2, 2)}
REDUCTIONS = ("none", "mean", "sum")
SMOOTHING = 0.1
IGNORED = 1


def inputs(target, dtype, rank):
    shape = SHAPES[rank]
    axis = 0 if rank == 1 else 1
    rows = shape[:axis] + shape[axis + 1:]
    random = np.random.default_rng([rank, target == "soft", dtype == torch.float64])
    logits = torch.tensor(random.normal(0, 2, shape)).to(dtype)
    weight = torch.tensor(random.uniform(0.25, 2, shape[axis])).to(dtype)
    upstream = torch.tensor(random.normal(0, 1, rows)).to(dtype)
    if target == "soft":
        labels = torch.tensor(random.dirichlet(np.ones(shape[axis]), rows)).movedim(-1, axis).to(dtype)
    else:
        labels = torch.tensor(random.integers(0, shape[axis], rows))
        if rank > 1:
            labels.view(-1)[1] = IGNORED
    return {"logits": logits, "labels": labels.contiguous(), "weight": weight, "upstream": upstream}


def answer(given, dtype, reduction, smoothing, weighted, ignore):
    logits = given["logits"].to(dtype).clone().requires_grad_()
    labels = given["labels"]
    soft = labels.is_floating_point()
    if soft:
        labels = labels.to(dtype).clone().requires_grad_()
    options = {} if ignore is None else {"ignore_index": ignore}
    loss = F.cross_entropy(logits, labels, weight=given["weight"].to(dtype) if weighted else None,
                           reduction=reduction, label_smoothing=smoothing, **options)
    upstream = given["upstream"].to(dtype) if reduction == "none" else torch.ones((), dtype=dtype)
    gradients = torch.autograd.grad(loss, [logits, labels] if soft else [logits], upstream)
    results = {"loss": loss.detach(), "grad_logits": gradients[0]}
    if soft:
        results["grad_labels"] = gradients[1]
    return results


def cases(target):
    for reduction in REDUCTIONS:
        for smoothing in (0.0, SMOOTHING):
            for weighted in (False, True):
                for ignore in (None, IGNORED) if target == "index" else (None,):
                    yield "labels", reduction, smoothing, weighted, ignore
    if target == "index":
        for reduction in REDUCTIONS:
            yield "all_ignored", reduction, 0.0, False, IGNORED
            yield "all_ignored", reduction, SMOOTHING, True, IGNORED


def make(target, dtype, rank):
    given = inputs(target, dtype, rank)
    tensors = dict(given)
    metadata = {"source": f"torch.nn.functional.cross_entropy, PyTorch {torch.__version__.split('+')[0]}, CPU",
                "target": target, "axis": "0" if rank == 1 else "1"}
    if target == "index":
        tensors["all_ignored"] = torch.full_like(given["labels"], IGNORED)
    for number, (labels, reduction, smoothing, weighted, ignore) in enumerate(cases(target)):
        case = f"case{number:02}"
        metadata[case] = (f"labels={labels} reduction={reduction} label_smoothing={smoothing} "
                          f"weight={'yes' if weighted else 'no'} ignore_index={'no' if ignore is None else ignore}")
        these = {**given, "labels": tensors[labels]}
        for name, value in answer(these, torch.float64, reduction, smoothing, weighted, ignore).items():
            tensors[f"{case}.{name}"] = value.contiguous()
        if dtype == torch.float32:
            for name, value in answer(these, dtype, reduction, smoothing, weighted, ignore).items():
                tensors[f"{case}.{name}_f32"] = value.contiguous()
    metadata["cases"] = str(number + 1)
    return tensors, metadata


def save(path, tensors, metadata):
    """Writes a .safetensors file; unlike the package's own function, in the order given."""
    header, data = {"__metadata__": metadata}, b""
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].element_size()):
        bytes_ = tensor.numpy().tobytes()
        dtype = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}[tensor.dtype]
        header[name] = {"dtype": dtype, "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + len(bytes_)]}
        data += bytes_
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main(folder):
    torch.set_num_threads(1)
    for target in ("index", "soft"):
        for dtype, name in ((torch.float32, "f32"), (torch.float64, "f64")):
            for rank in SHAPES:
                tensors, metadata = make(target, dtype, rank)
                save(f"{folder}/{target}_{name}_rank{rank}.safetensors", tensors, metadata)


if __name__ == "__main__":
    main(sys.argv[1])
