"""Does AutoScale save tokens at a target beyond its scales? Trained and measured, on real text.

    python benchmarks/bench_corpus.py --out data/bench
    python benchmarks/quality_autoscale.py [STUDY.yaml] [--seeds 3]

Fits at the study's scales, then trains at its target, with paired seeds: both of AutoScale's predictors
(`geometric`, `joint`), DDO's optimum of the largest scale (`nearest`), uniform and natural. Prints the comparison's
table, and the predictions beside the measurements. Everything is kept in the study's results table: stopped and run
again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console

from mixopt.mixture import Mixture
from mixopt.report.compare_files import save_comparison
from mixopt.report.compare_formats import render
from mixopt.report.progress import Live, Quiet
from mixopt.study import Study, StudyConfig
from mixopt.study.autoscale import autoscale
from mixopt.study.compare import Question, compare

if TYPE_CHECKING:
    from mixopt.comparison import Comparison
    from mixopt.search.base import Recommendation

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


def write_mixtures(advice: Recommendation, folder: Path) -> dict[str, Path]:
    """The mixtures to hold against uniform and natural, as files; in ten thousandths, as people write them down."""
    details: dict[str, Any] = advice.details
    mixtures = {name: part["weights"] for name, part in details["predictors"].items()}
    mixtures["nearest"] = details["scales"][-1]["weights"]
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
    predicted = {**advice.predicted, advice.details["chosen"]: advice.predicted["recommended"]}
    print(f"predictor chosen: {advice.details['chosen']} ({advice.details['choice']['reason']})")
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


if __name__ == "__main__":
    main()
