"""A DDO sweep's wall time against its training seconds divided by its workers, Ray's start included.

    python benchmarks/sweep.py --data DIR [--tokens 300k] [--model gpt2-0.4m]

Runs `mixopt ddo` once in a new results folder and reads from the table how long its runs took in their workers, in
the training loop and altogether (evaluation and start of the model included). With few runs for the workers even a
perfect scheduler cannot reach a ratio of 1, so what it would need is printed too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time

from mixopt.results import load
from mixopt.study.plan import makespan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--tokens", default="300k")
    parser.add_argument("--model", default="gpt2-0.4m")
    options = parser.parse_args()
    workers = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as results:
        command = [sys.executable, "-m", "mixopt", "ddo", "--data", options.data, "--tokens", options.tokens]
        started = time.perf_counter()
        subprocess.run(
            [*command, "--model", options.model, "--results", results, "--quiet", "--json", "--max-epochs", "1000"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        wall = time.perf_counter() - started
        frame = load(results)
    runs = frame["seconds"].tolist()
    ideal = frame["train_seconds"].sum() / workers
    print(f"{len(runs)} runs, {workers} workers; runs of {min(runs):.1f} to {max(runs):.1f} s")
    print(f"wall time of the whole command        {wall:7.1f} s")
    print(f"training seconds / workers            {ideal:7.1f} s   ratio {wall / ideal:.3f} (to be at most 1.15)")
    print(f"seconds of all runs / workers         {sum(runs) / workers:7.1f} s")
    print(f"a perfect scheduler without any start {makespan(runs, workers):7.1f} s")


if __name__ == "__main__":
    main()
