"""Does AutoScale save tokens at a target beyond its scales? Trained and measured, on real text.

    python benchmarks/bench_corpus.py --out data/bench
    python benchmarks/quality_autoscale.py [STUDY.yaml] [--seeds 3]

Fits at the study's scales, then trains at its target, with paired seeds: both of AutoScale's predictors
(`geometric`, `joint`), DDO's optimum of the largest scale (`nearest`), uniform and natural. Prints the comparison's
table, the predictions beside the measurements, and how much a domain's own tokens and those of the others lower its
loss at each scale. Everything is kept in the study's results table: stopped and run
again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml
from rich.console import Console

from mixopt.execute.base import Quiet
from mixopt.methods.autoscale.evidence import AutoScaleEvidence
from mixopt.mixture import Mixture
from mixopt.report.compare_formats import render, save_comparison
from mixopt.report.progress import Live
from mixopt.store import Store
from mixopt.study import Study, StudyConfig, autoscale
from mixopt.study.compare.compare import Question, compare

if TYPE_CHECKING:
    from mixopt.comparison import Comparison
    from mixopt.methods.base import Recommendation

_PARTS = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="?", default="experiments/bench_autoscale.yaml")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each mixture at the target")
    parser.add_argument("--data", help="folder of the prepared bench corpus [the study's]")
    parser.add_argument("--results", help="folder of the results table [the study's]")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    study = Study.of(StudyConfig.load(options.study, {"data.dir": options.data, "results": options.results}))
    watch = Quiet() if options.quiet else Live(Console(stderr=True))
    advice = autoscale(study, watch)
    folder = Path(study.config.results) / "studies" / study.study_id
    words = [f"{name}={path}" for name, path in write_mixtures(advice, folder).items()]
    question = Question(
        contenders=("uniform", "natural", *words), tokens=study.config.method.target_tokens, seeds=options.seeds
    )
    comparison = compare(study, question, watch)
    save_comparison(comparison, folder)
    sys.stdout.write(render(comparison, "terminal"))
    print_predictions(advice, comparison)
    print_slopes(study, advice, comparison)


def write_mixtures(advice: Recommendation, folder: Path) -> dict[str, Path]:
    """The mixtures to hold against uniform and natural, as files; in ten thousandths, as people write them down."""
    evidence = advice.evidence
    assert isinstance(evidence, AutoScaleEvidence)
    mixtures = {name: part.weights for name, part in evidence.predictors.items()}
    mixtures["nearest"] = evidence.scales[-1].weights
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recommendation.json").write_text(json.dumps(advice.to_dict(), indent=2), encoding="utf-8")
    paths = {name: folder / f"{name}.yaml" for name in mixtures}
    for name, path in paths.items():
        parts = Mixture.from_dict(mixtures[name]).counts(_PARTS)
        rounded = {domain: int(part) / _PARTS for domain, part in zip(mixtures[name], parts, strict=True)}
        path.write_text(yaml.safe_dump(rounded, sort_keys=False), encoding="utf-8")
    return paths


def print_predictions(advice: Recommendation, comparison: Comparison) -> None:
    """What the joint law said of each mixture at the target, and what was measured."""
    evidence = advice.evidence
    assert isinstance(evidence, AutoScaleEvidence)
    predicted = {**advice.predicted, evidence.chosen: advice.predicted["recommended"]}
    predicted["nearest"] = advice.predicted["nearest scale"]
    print(f"predictor chosen: {evidence.chosen} ({evidence.choice and evidence.choice.reason})")
    for name, entry in comparison.entries.items():
        found = predicted.get(name)
        said = (
            ""
            if found is None
            else f"{found.value:.2f}" + ("" if found.low is None else f" ({found.low:.2f} to {found.high:.2f})")
        )
        error = entry.objective.standard_error
        spread = "" if error is None else f" ± {error:.2f}"
        print(f"{name:10} predicted {said:24} measured {entry.objective.value:.2f}{spread}")


def print_slopes(study: Study, advice: Recommendation, comparison: Comparison) -> None:
    """-∂ loss / ∂ log tokens: of a domain's own tokens, and of the others' in sum, by scale and at the target.

    At the scales from the runs with the most of one domain, against the base; at the target by regression of each
    domain's loss on its share, over mixtures (own), and against the base of the largest scale (own and others).
    """
    designs = [ddo.design for ddo in study.searcher().ddos]
    base = np.zeros(0)
    with Store(study.config.results, read_only=True) as store:
        history = store.history(advice.runs)
    for design in designs:
        cells = design.match(history, study.config.method.search_seeds)
        base = history.losses[cells == 0].mean(axis=0)
        own, others = [], []
        for index, cell in enumerate(design.cells):
            if cell.domain is None or cell.factor != max(design.factors) or index not in cells:
                continue
            change = (base - history.losses[cells == index].mean(axis=0))[: len(study.domains)]
            own.append(change[cell.domain] / np.log(cell.factor))
            share = 1 - design.reference.weights[cell.domain]
            rest = np.delete(change, cell.domain).mean()
            others.append(rest / np.log(cell.total / design.tokens) * share)
        print(f"at {design.tokens:>9,} tokens: own {np.mean(own):.3f}, others {np.mean(others):.3f}")
    uniform = comparison.entries["uniform"]
    names = list(study.domains)
    flat = np.array([uniform.domains[name].loss.value for name in names])
    rows = [
        (np.log(len(names) * entry.weights[name]), flat[k] - entry.domains[name].loss.value)
        for entry in comparison.entries.values()
        if entry is not uniform
        for k, name in enumerate(names)
    ]
    slope = np.polyfit(*zip(*rows, strict=True), 1)[0]
    together = (base[: len(names)] - flat).mean() / np.log(comparison.tokens / designs[-1].tokens)
    print(f"at {comparison.tokens:>9,} tokens: own {slope:.3f}, own and others together {together:.3f}")


if __name__ == "__main__":
    main()
