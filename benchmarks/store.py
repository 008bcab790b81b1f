"""List and load 10,000 runs: the results table against a folder of JSON files, one a run.

    python benchmarks/store.py

The baseline is what one would write without a table: a JSON file a run, read and put into a pandas frame. Both are
measured on the same runs, several times in turn, with a warm file cache; the least time of each counts.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixopt.mixture import Mixture
from mixopt.model_spec import ModelSpec
from mixopt.result import DomainResult, RunResult
from mixopt.spec import DataSpec, EvalSpec, OptimSpec, PolicySpec, RunSpec
from mixopt.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 10_000
DOMAINS = ("code", "prose", "legal", "maths", "docs", "headers", "translations")
REPEATS = 3


def make_run(number: int) -> tuple[RunSpec, RunResult]:
    spec = RunSpec(
        model=ModelSpec(family="gpt2", vocab_size=1024, context=128, width=96, layers=3, heads=3),
        data=DataSpec(fingerprint="f" * 32, domains=DOMAINS),
        policy=PolicySpec(weights=Mixture.uniform(DOMAINS).weights),
        optim=OptimSpec(batch_tokens=1024),
        evaluation=EvalSpec(),
        tokens=819_200,
        sequence_length=128,
        seed=number,
    )
    losses = np.random.default_rng(number).uniform(2, 6, len(DOMAINS)).tolist()
    parts = {
        domain: DomainResult(
            loss=loss, bits_per_byte=loss / 2, train_loss=loss, tokens_seen=117_028, unique_tokens=10**6
        )
        for domain, loss in zip(DOMAINS, losses, strict=True)
    }
    result = RunResult(
        run_id=spec.run_id,
        status="finished",
        domains=parts,
        tokens=spec.tokens,
        parameters=spec.model.parameters,
        flops=spec.flops,
        train_seconds=20.0,
        seconds=21.0,
        device="cpu x1",
    )
    return spec, result


def fill(folder: Path) -> tuple[Store, Path]:
    """The same runs in the table and as JSON files."""
    store, files = Store(folder / "results"), folder / "json"
    files.mkdir()
    store._database.all("PRAGMA synchronous = OFF")  # a throw-away table: no need to survive a power cut
    for number in range(RUNS):
        spec, result = make_run(number)
        store.record(spec, result)
        content = {"spec": spec.to_dict(), "result": result.to_dict()}
        (files / f"{spec.run_id}.json").write_text(json.dumps(content))
    return store, files


def load_json(files: Path) -> pd.DataFrame:
    """The baseline: every file into a row of a frame."""
    rows = []
    for path in sorted(files.iterdir()):
        content = json.loads(path.read_text())
        row = {name: value for name, value in content["result"].items() if not isinstance(value, (dict, list))}
        for domain, part in content["result"]["domains"].items():
            row.update({f"{name}.{domain}": value for name, value in part.items()})
        rows.append(row)
    return pd.DataFrame(rows)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(f"writing {RUNS} runs of {len(DOMAINS)} domains twice")
        store, files = fill(Path(folder))
        works = {
            "list (mixopt runs list)": store.rows,
            "frame (mixopt.results.load)": store.frame,
            "history (for a method)": store.history,
            "baseline: JSON files to a frame": lambda: load_json(files),
        }
        best = dict.fromkeys(works, float("inf"))
        for _ in range(REPEATS):
            best = {name: min(best[name], seconds(work)) for name, work in works.items()}
        for name, least in best.items():
            print(f"{name:35} {least:6.2f} s")
        both = best["list (mixopt runs list)"] + best["frame (mixopt.results.load)"]
        print(f"list and load: {both:.2f} s (to be under 1 s)")
        store.close()


if __name__ == "__main__":
    main()
