"""What the Python peers share: the data, the rounds, and the lines they are asked with.

A peer is a process that reads lines `run WORKLOAD` and answers each with one round of every mode it has, a
line of JSON a mode, and an empty line. The first time it sets the workload up and warms it up; it keeps it
until another one is asked for. reel-bench --serve does the same, with the same rule for rounds.
"""
import argparse
import gc
import json
import sys
import time

import numpy as np

IMAGES, INPUTS, CLASSES, BATCH, HIDDEN = 50000, 3072, 10, 128, 256
BATCHES = IMAGES // BATCH
RATE, MOMENTUM = .01, .9
LINKS = 500


def logits_of(rows, classes, dtype=np.float32, seed=1):
    return np.random.default_rng(seed).uniform(-3, 3, (rows, classes)).astype(dtype)


def labels_of(rows, classes, dtype=np.float32):
    labels = np.random.default_rng(2).uniform(.001, 2.001, (rows, classes))
    return (labels / labels.sum(1, keepdims=True)).astype(dtype)


def sparse_labels_of(rows, classes):
    return np.random.default_rng(3).integers(0, classes, rows, dtype=np.int32)


def images_of(count, dtype):
    random = np.random.default_rng(5)
    if dtype == np.uint8:
        return random.integers(0, 256, (count, INPUTS), dtype=np.uint8)
    images = random.random((count, INPUTS), dtype=np.float32)
    images *= 2
    images -= 1
    return images


def layers_of(sizes):
    """Weights and a bias for each layer: [(inputs, outputs), (outputs)] ..."""
    random = np.random.default_rng(7)
    shapes = [shape for n, m in zip(sizes, sizes[1:]) for shape in ((n, m), (m,))]
    return [(random.standard_normal(s) * (.01 if len(s) == 2 else 0)).astype(np.float32) for s in shapes]


def size_of(workload):
    """(rows, classes) at the end of a workload's name."""
    rows, classes = workload.rsplit("_", 1)[1].split("x")
    return int(rows), int(classes)


class Job:
    """One mode of a workload: step() does one step, finish(its result) waits until it is really done."""

    def __init__(self, step, finish=lambda result: None):
        self.step, self.finish = step, finish
        self.seconds(1)                                 # may compile
        once = spent = self.seconds(1)
        while spent < .05:
            once = self.seconds(1)
            spent += once
        self.steps = int(.02 / once) + 1 if once < .02 else 1

    def seconds(self, steps):
        start = time.perf_counter()
        for _ in range(steps):
            result = self.step()
        self.finish(result)
        return (time.perf_counter() - start) / steps

    def round(self):
        self.seconds((self.steps + 9) // 10)
        return self.seconds(self.steps)


def serve(peer, threads, jobs_of):
    """jobs_of(workload) gives {mode: Job}, or {} for a workload that this peer does not have."""
    current, jobs = None, {}
    for line in sys.stdin:
        workload = line.split()[1]
        if workload != current:
            jobs = {}                                   # frees the old before the new is made
            gc.collect()
            current, jobs = workload, jobs_of(workload)
        for mode, job in jobs.items():
            print(json.dumps({"peer": peer, "workload": workload, "mode": mode, "threads": threads,
                              "sec": job.round()}))
        print(flush=True)


def first_step(step):
    """8 rows of 4 numbers, 3 classes: one step of a tiny classifier, and the moment at which it is done."""
    random = np.random.default_rng(1)
    loss = step(random.standard_normal((8, 4)).astype(np.float32), np.arange(8, dtype=np.int32) % 3)
    print(f"{time.monotonic():.9f} {loss:g}")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--first-step", action="store_true")
    return parser.parse_args()
