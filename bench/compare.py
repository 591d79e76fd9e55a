#!/usr/bin/env python3
"""Runs the workloads of reel-bench in Reel and in its peers, and prints how they compare.

    bench/compare.py [--build DIR] [--venv DIR] [--threads N ...] [--workloads NAME ...] [--quick]
                     [--write docs/benchmarks.md]

The peers are TensorFlow, PyTorch and JAX, from PyPI in a virtual environment that is made where it is missing
(7 GB, since PyTorch's wheel cannot be imported without its CUDA libraries), and ADOL-C (Debian's
libadolc-dev). Each peer is one process for each number of threads. For each workload all the processes take
turns, a round of 20 ms or more each time; the first turn is for warming up, and the median of the rounds is
quoted. The processes run on the same CPUs, as many as they have threads.
"""
import argparse
import contextlib
import ctypes
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True                          # the source folder stays as it is

import report

BENCH = pathlib.Path(__file__).resolve().parent
PACKAGES = ["numpy", "tensorflow-cpu", "torch", "jax"]
PYTHON_PEERS = ["tensorflow", "torch", "jax"]


# ---- What is needed beforehand ----

def versions_in(python):
    """{package: version} of what the environment has, or None where something is missing."""
    ask = ("import importlib.metadata as m, json, platform, sys;"
           "found = {p: m.version(p) for p in sys.argv[1:]};"
           "print(json.dumps(found | {'python': platform.python_version()}))")
    done = subprocess.run([python, "-c", ask, *PACKAGES], capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def make_environment(folder):
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    if not versions_in(python):
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python, versions_in(python)


def compile_adolc(folder):
    """The program's path, or None without g++ or libadolc-dev."""
    program = pathlib.Path(folder) / "adolc_chain"
    command = ["g++", "-O2", BENCH / "peers" / "adolc_chain.cpp", "-o", program, "-ladolc"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print("ADOL-C is left out:", getattr(error, "stderr", "") or error, file=sys.stderr)
        return None
    return program


# ---- Processes ----

@contextlib.contextmanager
def on_cpus(count):
    """What is started inside runs on `count` CPUs, the last ones: the first has most interrupts."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[-count:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def environment_of(threads):
    limits = {"OMP_NUM_THREADS": str(threads)}
    if threads == 1:
        limits["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    limits |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    return os.environ | limits | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": "1"}


class Peer:
    """A process that is asked for rounds, line by line."""

    def __init__(self, command, threads, environment=None):
        self.log = tempfile.TemporaryFile("w+")
        with on_cpus(threads):
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=self.log, text=True, env=environment)

    def round(self, workload):
        """[{"peer", "mode", "sec", ...}], a mode each."""
        self.process.stdin.write(f"run {workload}\n")
        self.process.stdin.flush()
        answers = []
        for line in self.process.stdout:
            if not line.strip():
                return answers
            answers.append(json.loads(line))
        self.log.seek(0)                                # it ended in the middle of its answer
        sys.exit(f"{' '.join(map(str, self.process.args))} gave up on {workload}:\n{self.log.read()[-2000:]}")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def peers_of(options, python, adolc, threads):
    environment = environment_of(threads)
    count = ["--threads", str(threads)]
    peers = [Peer([options.build / "bench" / "reel-bench", *count, "--serve"], threads)]
    peers += [Peer([python, BENCH / "peers" / f"peer_{name}.py", *count], threads, environment)
              for name in PYTHON_PEERS]
    return peers + ([Peer([adolc], 1)] if adolc else [])


# ---- Measurements ----

def measure(peers, workload, rounds, warm):
    """{threads: {peer: {mode: [seconds of each round]}}}"""
    seconds = {threads: {} for threads in peers}
    turns = [(threads, peer) for threads in peers for peer in peers[threads]]
    for i in range(-warm, rounds):
        for threads, peer in reversed(turns) if i % 2 else turns:
            for answer in peer.round(workload):
                modes = seconds[threads].setdefault(answer["peer"], {})
                modes.setdefault(answer["mode"], []).extend([answer["sec"]] if i >= 0 else [])
            time.sleep(.01)                             # until its threads have stopped waiting for work
    return {threads: {peer: all_[peer] for peer in ["reel", *report.NAMES] if peer in all_}
            for threads, all_ in seconds.items()}


def compare(options, python, adolc):
    """{threads: {workload: {peer: {mode: [seconds]}}}}"""
    peers = {threads: peers_of(options, python, adolc, threads) for threads in sorted(set(options.threads))}
    results = {threads: {} for threads in peers}
    for workload in options.workloads:
        print(workload, file=sys.stderr)
        for threads, result in measure(peers, workload, options.rounds, warm=not options.quick).items():
            results[threads][workload] = result
    for all_ in peers.values():
        for peer in all_:
            peer.close()
    return results


def cold_start(options, python):
    """{peer: seconds from a process's start to the end of its first step}"""
    threads, seconds = os.cpu_count(), {}
    how = ["--threads", str(threads), "--first-step"]
    commands = {"reel": [options.build / "bench" / "first-step"]}
    commands |= {name: [python, BENCH / "peers" / f"peer_{name}.py", *how] for name in PYTHON_PEERS}
    environment = environment_of(threads)
    for _ in range(options.rounds + (not options.quick)):
        for name, command in commands.items():
            start = time.monotonic()
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            seconds.setdefault(name, []).append(float(done.stdout.split()[0]) - start)
    return {name: statistics.median(all_[-options.rounds:]) for name, all_ in seconds.items()}


def library_of(build):
    """(version, bytes of the shared library without its symbols)"""
    library = build / "libreel.so"
    with tempfile.NamedTemporaryFile() as stripped:
        subprocess.run(["strip", "-o", stripped.name, library], check=True)
        size = os.path.getsize(stripped.name)
    version = ctypes.CDLL(library.resolve()).reel_version
    version.restype = ctypes.c_char_p
    return version().decode(), size


def options_of(arguments):
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    root, add = BENCH.parent, parser.add_argument
    add("--build", type=pathlib.Path, default=root / "build", help="Meson's build folder")
    add("--venv", type=pathlib.Path, default=root / "build" / "bench-venv", help="the virtual environment")
    add("--threads", type=int, nargs="+", default=[1, 2])
    add("--workloads", nargs="+", metavar="NAME", default=report.WORKLOADS, choices=report.WORKLOADS)
    add("--rounds", type=int, default=9)
    add("--quick", action="store_true", help="one round each, to see that everything runs")
    add("--write", type=pathlib.Path, metavar="PAGE", help="put the tables into this page")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds = 1
    options.build = options.build.resolve()
    if not (options.build / "bench" / "reel-bench").exists():
        parser.error(f"no bench/reel-bench in {options.build}: build it first, or give --build")
    if max(options.threads) > len(os.sched_getaffinity(0)):
        parser.error("more threads than CPUs")
    return options


def main():
    options = options_of(sys.argv[1:])
    python, versions = make_environment(options.venv)
    with tempfile.TemporaryDirectory() as folder:
        adolc = compile_adolc(folder)
        results = compare(options, python, adolc)
    if adolc:
        ask = ["pkg-config", "--modversion", "adolc"]
        versions["adolc"] = subprocess.run(ask, capture_output=True, text=True).stdout.strip()
    versions["reel"], size = library_of(options.build)
    text = report.measured(results, versions, cold_start(options, python), size, options.rounds)
    print(text)
    if options.write:
        report.write(options.write, text)


if __name__ == "__main__":
    main()
