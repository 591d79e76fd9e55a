"""The tables that compare.py prints, and the page that it writes them into."""
import datetime
import os
import platform
import statistics

NAMES = {"tensorflow": "TensorFlow", "torch": "PyTorch", "jax": "JAX", "adolc": "ADOL-C"}
SIZES = ["128x10", "4096x10", "1024x1000", "256x50257"]
KINDS = ["v1", "v2", "sparse"]
WORKLOADS = ([f"xent_{kind}_{size}" for size in SIZES for kind in KINDS]
             + ["linear_epoch", "linear_epoch_u8", "mlp_step", "chain_1000", "gradcheck_32x10"]
             + ["hvp_1024x1000"]
             + [f"limit_copy_{size}" for size in SIZES] + ["limit_gemm"])

# How many times faster than the best peer Reel is meant to be.
AIMS = {f"xent_{kind}_{size}": aim for size, aim in zip(SIZES, (4, 1.8, 2, 5)) for kind in KINDS}
AIMS |= {"linear_epoch": 1.5, "linear_epoch_u8": 1.7, "mlp_step": 2, "hvp_1024x1000": 2}
CHECK_AIMS = {"rows": 100, "elements": 10}
CHAIN_AIMS = {"record": 60, "replay": 15}                # ns an op
CHAIN_OPS = 1000

IMAGES, INPUTS, CLASSES, BATCH, HIDDEN = 50000, 3072, 10, 128, 256
STEPS = IMAGES // BATCH
GEMM = 2 * 1024**3                                      # operations of limit_gemm's product
LINEAR = STEPS * 2 * BATCH * 2 * INPUTS * CLASSES       # an epoch's, forward and into the weights
MLP = 2 * BATCH * (2 * INPUTS * HIDDEN + 3 * HIDDEN * CLASSES)
ARRAYS = {"v1": 3, "v2": 4, "sparse": 2}                # that have to be moved once

PAGE = """# Benchmarks

Reel beside TensorFlow (`tf.function`), PyTorch (eager), JAX (`jax.jit`) and ADOL-C: the same workloads, on
the same machine, in the same run, in turns. What one step of each does stands on top of the files in
[bench/](../bench).

```sh
meson setup build && ninja -C build
bench/compare.py --write docs/benchmarks.md
```

makes a virtual environment in `build/bench-venv` where there is none (TensorFlow, PyTorch and JAX from PyPI;
ADOL-C is Debian's `libadolc-dev`), measures, and puts its tables into this page, between two marks in its
source; what stands outside them it leaves alone. `--quick` only tries whether everything runs.
`build/bench/reel-bench` measures Reel alone.

{begin}
{end}
"""
BEGIN, END = "<!-- measured -->", "<!-- end of what is measured -->"


# ---- Numbers as text ----

def time_text(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)):
        if seconds >= size or unit == "ns":
            return f"{digits(seconds / size)} {unit}"


def digits(x):
    return f"{x:.3g}" if x < 1000 else f"{x:.0f}"


def ratio_text(x):
    return f"{digits(x)}x"


def table(heads, rows):
    """Markdown, with columns as wide as their widest cell; nothing without rows."""
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = [heads, ["-" * width for width in widths], *rows]
    padded = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths)) for line in lines]
    return "".join(f"| {line} |\n" for line in padded)


# ---- From rounds to figures ----

def medians(modes):
    return {mode: statistics.median(rounds) for mode, rounds in modes.items()}


def best(modes):
    """(mode, seconds) of the fastest mode, or None."""
    return min(medians(modes).items(), key=lambda item: item[1]) if modes else None


def of_reel(result, workload):
    """Reel's seconds in its best mode, or None where the workload was not run."""
    return best(result[workload]["reel"])[1] if workload in result else None


# ---- Tables ----

def peer_row(label, ours, mode, result, aim, seconds_at_one):
    """Reel's time; each peer's best time and how many of Reel's it is; the best peer's; what is aimed at."""
    cells, ratios = [], []
    for peer in NAMES:
        found = best(result.get(peer, {}))
        cells.append(f"{time_text(found[1])} ({ratio_text(found[1] / ours)})" if found else "")
        ratios += [found[1] / ours] if found else []
    row = [label, time_text(ours), mode, *cells, ratio_text(min(ratios)) if ratios else ""]
    row.append("" if not aim else f"{aim:g}x" + ("" if min(ratios) >= aim else ", missed"))
    return row + ([ratio_text(seconds_at_one / ours)] if seconds_at_one else [])


def quoted(workload, result):
    """Reel's [(mode, seconds, aim)] to be quoted: its best mode, or each where each has its own aim."""
    modes = result[workload]["reel"]
    if workload.startswith("gradcheck"):
        return [(mode, medians(modes)[mode], aim) for mode, aim in CHECK_AIMS.items()]
    return [(*best(modes), AIMS.get(workload))]


def peer_rows(result, at_one):
    for workload in result:
        if workload.startswith("limit"):
            continue
        alone = [seconds for _, seconds, _ in quoted(workload, at_one)] if at_one else [None, None]
        for (mode, ours, aim), seconds_at_one in zip(quoted(workload, result), alone):
            yield peer_row(workload, ours, mode, result[workload], aim, seconds_at_one)


def peer_table(result, at_one):
    heads = ["workload", "Reel", "mode", *NAMES.values(), "best peer / Reel", "aim"]
    return table(heads + ["1 thread / this"] * bool(at_one), list(peer_rows(result, at_one)))


def chain_table(result):
    rows = []
    for peer, modes in result.get("chain_1000", {}).items():
        for mode, seconds in medians(modes).items():
            aim, ns = CHAIN_AIMS.get(mode) if peer == "reel" else None, seconds / CHAIN_OPS * 1e9
            rows.append([NAMES.get(peer, "Reel"), mode, f"{digits(ns)} ns",
                         "" if not aim else f"{aim} ns" + ("" if ns <= aim else ", missed")])
    return table(["chain_1000", "mode", "an op", "aim"], rows)


def copies(result):
    """(workload, what its limit is, seconds of that limit, aim)"""
    for size in SIZES:
        triad = of_reel(result, f"limit_copy_{size}")
        aim = 2 if size == SIZES[-1] else None
        for kind, arrays in ARRAYS.items() if triad else ():
            yield f"xent_{kind}_{size}", f"move {arrays} arrays", triad * arrays / 3, aim
        if triad and size == "1024x1000":
            yield "hvp_1024x1000", "move 4 arrays", triad * 4 / 3, None
    triad = of_reel(result, f"limit_copy_{SIZES[-1]}")
    if triad:
        rate = 3 * 4 * 256 * 50257 / triad              # bytes a second
        yield "linear_epoch", "read the images", 4 * IMAGES * INPUTS / rate, None
        yield "linear_epoch_u8", "read the images", IMAGES * INPUTS / rate, None


def products(result):
    gemm = of_reel(result, "limit_gemm")
    for workload, operations in (("linear_epoch", LINEAR), ("linear_epoch_u8", LINEAR), ("mlp_step", MLP)):
        if gemm:
            yield workload, "multiply as in limit_gemm", gemm * operations / GEMM, None


def limit_table(result, threads):
    """The triad is one thread's, so that it is the limit of one thread only."""
    rows = []
    limits = [*(copies(result) if threads == 1 else ()), *products(result)]
    for workload, what, limit, aim in limits:
        ours = of_reel(result, workload)
        if ours:
            missed = aim and ours > aim * limit
            rows.append([workload, time_text(ours), what, time_text(limit), ratio_text(ours / limit),
                         (f"{aim}x" if aim else "") + (", missed" if missed else "")])
    return table(["workload", "Reel", "limit", "it takes", "Reel / limit", "aim, at most"], rows)


def limits_text(result, threads):
    gemm, triad = of_reel(result, "limit_gemm"), of_reel(result, f"limit_copy_{SIZES[-1]}")
    text = []
    if triad and threads == 1:
        text.append(f"A triad moves {3 * 4 * 256 * 50257 / triad / 1e9:.1f} GB/s over arrays of {SIZES[-1]}")
    if gemm:
        text.append(f"BLIS's product of 1024 x 1024 matrices does {GEMM / gemm / 1e9:.0f} GFLOP/s")
    return "; ".join(text) + ".\n" if text else ""


def spread_table(result):
    rows = []
    for workload, peers in result.items():
        for peer, modes in peers.items():
            for mode, s in modes.items():
                times = map(time_text, (statistics.median(s), min(s), max(s)))
                rows.append([workload, NAMES.get(peer, "Reel"), mode, *times])
    return table(["workload", "", "mode", "median", "fastest round", "slowest round"], rows)


# ---- The page ----

def cpu_text():
    facts = {}
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            key, _, value = line.partition(":")
            facts.setdefault(key.strip(), value.strip())
    flags = facts.get("flags", "").split()
    has = [name for flag, name in (("avx2", "AVX2"), ("avx512f", "AVX-512")) if flag in flags]
    kind = f"family {facts.get('cpu family')}, model {facts.get('model')}; {', '.join(has) or 'no AVX2'}"
    return f"{facts.get('model name', platform.machine())} ({kind}), {os.cpu_count()} CPUs"


def head(versions, rounds):
    names = {"reel": "Reel", "tensorflow-cpu": "TensorFlow", **NAMES, "numpy": "NumPy", "python": "Python"}
    what = ", ".join(f"{name} {versions[package]}" for package, name in names.items() if package in versions)
    return (f"{datetime.date.today()}, {cpu_text()}, {platform.system()} {platform.release()}.\n{what}.\n"
            f"Medians of {rounds} rounds, each program in its best mode; at the end all modes.\n")


def sections(result, threads, at_one):
    yield f"## {'One thread' if threads == 1 else f'{threads} threads'}", peer_table(result, at_one)
    yield "### A thousand scalar operations", chain_table(result)
    parts = [part for part in (limits_text(result, threads), limit_table(result, threads)) if part]
    yield "### The machine's limits", "\n".join(parts)


def cold_text(seconds, size):
    ours = seconds["reel"]
    rows = [[NAMES.get(peer, "Reel"), time_text(s), ratio_text(s / ours)] for peer, s in seconds.items()]
    return (f"From a process's start to the end of its first step of a tiny classifier. Reel's aim is\n"
            f"10 ms. A peer's time is that of Python, the import and the first step; PyTorch's wheel from\n"
            f"PyPI loads its CUDA libraries, too.\n\n"
            f"{table(['', 'time', 'times Reel'], rows)}\n"
            f"The shared library, stripped, has {size / 1000:.0f} KB; the aim is 400 KB.\n")


def measured(results, versions, cold, size, rounds):
    """Everything that was measured, as Markdown."""
    parts = [head(versions, rounds)]
    for threads, result in results.items():
        at_one = results.get(1) if threads > 1 else None
        parts += [f"{title}\n\n{text}" for title, text in sections(result, threads, at_one) if text.strip()]
    parts.append(f"## Cold start\n\n{cold_text(cold, size)}")
    for threads, result in results.items():
        parts.append(f"## Every mode, threads: {threads}\n\n{spread_table(result)}")
    return "\n".join(parts)


def write(path, text):
    """Puts the text between the page's marks and leaves the rest alone; makes a page that is missing."""
    page = path.read_text() if path.exists() else PAGE.format(begin=BEGIN, end=END)
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")
