"""Makes the golden trajectories of this folder: the optimisers and schedules of torch.optim.

    python make_golden.py OUTDIR

One file for each optimiser and dtype, and one for the schedules; README.md says what is in them. The same PyTorch
on the same kind of CPU writes the same bytes.
"""
import json
import struct
import sys

import numpy as np
import torch

STEPS = 100
SHAPES = {"w": (2, 3), "b": (2,)}
DTYPES = {"f32": torch.float32, "f64": torch.float64}

CASES = {
    "sgd": [
        {"lr": 0.05},
        {"lr": 0.05, "weight_decay": 0.1},
        {"lr": 0.02, "momentum": 0.9},
        {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.01, "nesterov": 1},
        {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1, "decoupled": 1},
        {"lr": 0.02, "momentum": 0.9, "rates": 1},
        {"lr": 0.05, "momentum": 0.5, "clip": 1.5},
    ],
    "rmsprop": [
        {"lr": 0.01},
        {"lr": 0.01, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1},
        {"lr": 0.01, "momentum": 0.9},
        {"lr": 0.01, "centered": 1},
        {"lr": 0.01, "centered": 1, "momentum": 0.8, "rates": 1, "clip": 1.5},
    ],
    "adam": [
        {"lr": 0.01},
        {"lr": 0.01, "weight_decay": 0.1},
        {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3},
        {"lr": 0.01, "beta1": 0.9, "beta2": 0.8, "amsgrad": 1},
        {"lr": 0.01, "rates": 1, "clip": 1.5},
    ],
    "adamw": [
        {"lr": 0.01},
        {"lr": 0.01, "weight_decay": 0.1},
        {"lr": 0.01, "weight_decay": 0, "beta1": 0.5},
        {"lr": 0.01, "beta1": 0.9, "beta2": 0.8, "amsgrad": 1, "weight_decay": 0.1},
        {"lr": 0.01, "rates": 1, "clip": 1.5},
    ],
}


def inputs(dtype):
    """Weights, and gradients of very different sizes, a tenth of them 0, that lead away from 0 more often than not."""
    random = np.random.default_rng(20)
    tensors = {}
    for name, shape in SHAPES.items():
        weights = random.normal(0, 1, shape)
        tensors[name] = torch.tensor(weights).to(dtype)
        size = 10.0 ** random.uniform(-3, 0.5, shape)
        gradient = (random.normal(0, 1, (STEPS, *shape)) - 0.3 * np.sign(weights)) * size
        gradient *= random.random((STEPS, *shape)) > 0.1
        tensors["gradient." + name] = torch.tensor(gradient).to(dtype)
    tensors["rates"] = torch.tensor(random.uniform(0.001, 0.05, STEPS))
    return tensors


def optimiser(kind, case, parameters):
    options = {key: case[key] for key in ("lr", "weight_decay", "momentum", "alpha", "eps") if key in case}
    for flag in ("nesterov", "centered", "amsgrad"):
        if flag in case:
            options[flag] = True
    if "beta1" in case:
        options["betas"] = (case["beta1"], case.get("beta2", 0.999))
    if "decoupled" in case:                         # which torch's SGD has not: see step()
        options["weight_decay"] = 0
    makers = {"sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop, "adam": torch.optim.Adam,
              "adamw": torch.optim.AdamW}
    return makers[kind](parameters, foreach=False, **options)


def run(kind, case, given):
    parameters = {name: given[name].clone().requires_grad_() for name in SHAPES}
    stepper = optimiser(kind, case, list(parameters.values()))
    path = {name: [] for name in SHAPES}
    norms = []
    for t in range(STEPS):
        for name, parameter in parameters.items():
            parameter.grad = given["gradient." + name][t].clone()
        if "clip" in case:
            norms.append(torch.nn.utils.clip_grad_norm_(list(parameters.values()), case["clip"]))
        if "rates" in case:
            stepper.param_groups[0]["lr"] = given["rates"][t].item()
        if "decoupled" in case:
            with torch.no_grad():
                for parameter in parameters.values():
                    parameter.mul_(1 - stepper.param_groups[0]["lr"] * case["weight_decay"])
        stepper.step()
        for name, parameter in parameters.items():
            path[name].append(parameter.detach().clone())
    results = {name: torch.stack(steps) for name, steps in path.items()}
    if norms:
        results["norm"] = torch.stack(norms)
    return results


def schedules():
    """The rate at each of STEPS steps, from the schedulers; the optimiser is only there to hold it."""
    one, lr = torch.nn.Parameter(torch.zeros(1)), torch.optim.lr_scheduler

    def rates(make, rate=0.1):
        stepper = torch.optim.SGD([one], lr=rate)
        scheduler = make(stepper)
        seen = []
        for _ in range(STEPS):
            seen.append(stepper.param_groups[0]["lr"])
            stepper.step()
            scheduler.step()
        return torch.tensor(seen, dtype=torch.float64)

    def warm_cosine(stepper):
        return lr.SequentialLR(stepper, [lr.LinearLR(stepper, 1 / 10, 1, 9), lr.CosineAnnealingLR(stepper, 90, 0.001)],
                               [10])

    return {
        "constant": rates(lambda s: lr.ConstantLR(s, 1, 0)),
        "step": rates(lambda s: lr.StepLR(s, 30, 0.5)),
        "cosine": rates(lambda s: lr.CosineAnnealingLR(s, STEPS)),
        "warm_cosine": rates(warm_cosine),
        "one_cycle": rates(lambda s: lr.OneCycleLR(s, 0.1, STEPS + 1, cycle_momentum=False)),
    }


def save(path, tensors, metadata):
    """Writes a .safetensors file; unlike the package's own function, in the order given."""
    header, data = {"__metadata__": metadata}, b""
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].element_size()):
        bytes_ = tensor.contiguous().numpy().tobytes()
        header[name] = {"dtype": {torch.float32: "F32", torch.float64: "F64"}[tensor.dtype],
                        "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(bytes_)]}
        data += bytes_
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main(folder):
    torch.set_num_threads(1)
    source = f"PyTorch {torch.__version__.split('+')[0]}, CPU"
    for kind, cases in CASES.items():
        for dtype_name, dtype in DTYPES.items():
            given = inputs(dtype)
            tensors, metadata = dict(given), {"source": "torch.optim, " + source, "cases": str(len(cases))}
            for number, case in enumerate(cases):
                metadata[f"case{number}"] = " ".join(f"{key}={value}" for key, value in case.items())
                for name, value in run(kind, case, given).items():
                    tensors[f"case{number}.{name}"] = value
            save(f"{folder}/{kind}_{dtype_name}.safetensors", tensors, metadata)
    save(f"{folder}/schedules.safetensors", schedules(), {"source": "torch.optim.lr_scheduler, " + source})


if __name__ == "__main__":
    main(sys.argv[1])
