"""A results folder with a whole study in it: runs of a known law, DDO's own answer, verification, comparison."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.comparison import Measured
from mixopt.history import empty_history
from mixopt.methods.autoscale.method import AUTOSCALE
from mixopt.methods.autoscale.searcher import AutoScale
from mixopt.methods.base import Proposal
from mixopt.methods.ddo.design import Design
from mixopt.methods.ddo.method import DDO
from mixopt.methods.ddo.searcher import Ddo, DdoSettings
from mixopt.mixture import Mixture
from mixopt.model_spec import ModelSpec
from mixopt.objective import MeanPerplexity
from mixopt.report.recommendation import save_recommendation
from mixopt.result import DomainResult, RunResult
from mixopt.role import Role
from mixopt.spec import DataSpec, EvalSpec, OptimSpec, PolicySpec, RunSpec, whole_batches
from mixopt.store import Store
from mixopt.study.compare.compare import compare_runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mixopt.methods.base import Recommendation

PLAIN = ("web", "code", "books")
# Names that would run a script, end the page's data, or mean something to Plotly's labels, if they were not text.
HOSTILE = (
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=2>",
    "</script><script>window.hacked=3</script>",
    "<b>bold</b> %{x} <a href='javascript:window.hacked=4'>a</a>",
    "\"quoted\" 'both' & {{ 7*7 }}",
    "var(--ink)",
)
STUDY = "0123456789ab"
TOKENS = 8192
_POINTS = 5


def make_spec(domains: Sequence[str], proposal: Proposal) -> RunSpec:
    return RunSpec(
        model=ModelSpec(family="gpt2", vocab_size=64, context=16, width=8, layers=1, heads=1),
        data=DataSpec(fingerprint="f" * 32, domains=tuple(domains)),
        policy=PolicySpec(weights=proposal.mixture.weights),
        optim=OptimSpec(batch_tokens=64),
        evaluation=EvalSpec(point_tokens_per_domain=EvalSpec.tokens_per_domain),
        tokens=whole_batches(proposal.tokens, 64),
        sequence_length=16,
        seed=proposal.seed,
    )


def losses_at(tokens: np.ndarray, seed: int) -> np.ndarray:
    """(K,) losses after (K,) tokens of each domain."""
    index = np.arange(len(tokens))
    unit = TOKENS / len(tokens)
    return 2.5 + 0.3 * np.sin(index) + 1.2 * (tokens / unit + 0.5) ** -0.6 + 0.003 * np.cos(7.0 * seed + index)


def train(spec: RunSpec) -> RunResult:
    """The law, with a curve."""
    counts = spec.mixture.counts(spec.tokens)
    curve: dict[str, list[Any]] = {"step": [], "tokens": [], "split": [], "domain": [], "loss": []}
    for point in range(1, _POINTS + 1):
        tokens = spec.tokens * point // _POINTS
        values = losses_at(counts * point / _POINTS, spec.seed)
        for split, shift in (("validation", 0.0), ("train", 0.05)):
            for domain, loss in zip(spec.data.domains, values, strict=True):
                for column, value in zip(curve, (point, tokens, split, domain, float(loss) + shift), strict=True):
                    curve[column].append(value)
    final = losses_at(counts.astype(float), spec.seed)
    parts = {
        domain: DomainResult(loss=float(final[i]), bits_per_byte=float(final[i]) / 3, train_loss=float(final[i]),
                             tokens_seen=int(counts[i]), unique_tokens=5000)
        for i, domain in enumerate(spec.data.domains)
    }  # fmt: skip
    return RunResult(
        run_id=spec.run_id, status="finished", domains=parts, tokens=spec.tokens, parameters=spec.model.parameters,
        flops=spec.flops, train_seconds=1.0, seconds=2.0, device="cpu x1", curve=curve,
    )  # fmt: skip


def record(store: Store, domains: Sequence[str], proposals: Iterable[Proposal]) -> dict[str, Proposal]:
    """Train and record; proposals by run id, each mixture, size and seed once."""
    found = {}
    for proposal in proposals:
        spec = make_spec(domains, proposal)
        store.record(spec, train(spec))
        found[spec.run_id] = proposal
    return found


def config(domains: Sequence[str], command: str = "ddo") -> dict[str, Any]:
    """As `Study.resolved` gives it."""
    return {
        "config": {
            "data": {"dir": "data"},
            "model": {"preset": "gpt2-0.2m"},
            "method": {"name": command, "factors": [1 / 3, 3.0], "objective": "mean_ppl", "seeds": 1, "floor": None},
        },
        "model": {"layers": 1, "width": 8},
        "optim": {"lr": 0.001, "batch_tokens": 64},
        "tokens": TOKENS,
        "reference": Mixture.uniform(domains).to_dict(),
        "fingerprint": "f" * 32,
    }


def make_results(
    folder: Path, domains: Sequence[str] = PLAIN, *, more: int = 0, verified: bool = True, compared: bool = True
) -> Path:
    """A results folder with the study `STUDY`.

    Args:
        folder: where.
        domains: of the data.
        more: runs of other mixtures, linked to the study.
        verified: write `verification.json`.
        compared: write a comparison.
    """
    natural = Mixture.normalised({domain: 1.0 + index for index, domain in enumerate(domains)})
    searcher = Ddo(Mixture.uniform(domains), TOKENS, DdoSettings(replicates=100), {"natural": natural})
    with Store(folder) as store:
        runs = record(store, domains, searcher.ask(empty_history()))
        answer = searcher.recommend(store.history(runs))
        links = [(run, proposal.role) for run, proposal in runs.items()]
        draw = np.random.default_rng(0)
        others = [
            Proposal(Mixture.normalised(dict(zip(domains, draw.dirichlet(np.ones(len(domains))), strict=True))),
                     TOKENS, 0, Role("mixture", str(number)))
            for number in range(more)
        ]  # fmt: skip
        links += [(run, proposal.role) for run, proposal in record(store, domains, others).items()]
        home = folder / "studies" / STUDY
        save_recommendation(answer, DDO, home, plots=False)
        trained = {}
        for name, mixture in (("recommended", answer.mixture), ("uniform", Mixture.uniform(domains))):
            proposals = [Proposal(mixture, TOKENS, seed, Role("verify", name)) for seed in range(2)]
            trained[name] = record(store, domains, proposals)
        if verified:
            links += [(run, Role("verify", name)) for name, some in trained.items() for run in some]
            (home / "verification.json").write_text(json.dumps(_verification(store, answer, trained)))
        if compared:
            groups = {name: [store.get(run) for run in some] for name, some in trained.items()}
            comparison = compare_runs(groups, MeanPerplexity(), ["uniform"])
            place = folder / "comparisons" / comparison.id
            place.mkdir(parents=True)
            (place / "comparison.json").write_text(json.dumps(comparison.to_dict()))
        store.save_study(STUDY, "ddo", config(domains), links)
    return folder


def _verification(store: Store, answer: Recommendation, trained: dict[str, Any]) -> dict[str, Any]:
    values = {
        name: [float(np.mean([math.exp(x) for x in store.get(run)[1].losses().values()])) for run in some]
        for name, some in trained.items()
    }
    gains = [1 - a / b for a, b in zip(values["recommended"], values["uniform"], strict=True)]
    mixtures = {
        name: {
            "weights": {},
            "predicted": answer.to_dict()["predicted"][name],
            "measured": vars(Measured.of(values[name])),
            "gain_predicted": answer.to_dict()["gains"].get(name),
            "gain_measured": vars(Measured.of(gains)) if name == "uniform" else None,
            "losses": store.get(next(iter(some)))[1].losses(),
        }
        for name, some in trained.items()
    }
    runs = [run for some in trained.values() for run in some]
    return {"objective": "mean_ppl", "tokens": TOKENS, "mixtures": mixtures, "runs": runs}


def make_autoscale(folder: Path, domains: Sequence[str] = PLAIN) -> Path:
    """A results folder with an AutoScale study of three scales."""
    designs = [Design(Mixture.uniform(domains), TOKENS * 4**step, (1 / 3, 3.0)) for step in range(3)]
    searcher = AutoScale(designs, TOKENS * 4**4, DdoSettings(replicates=100))
    with Store(folder) as store:
        runs = record(store, domains, searcher.ask(empty_history()))
        answer = searcher.recommend(store.history(runs))
        save_recommendation(answer, AUTOSCALE, folder / "studies" / STUDY, plots=False)
        links = [(run, proposal.role) for run, proposal in runs.items()]
        store.save_study(STUDY, "autoscale", config(domains, "autoscale"), links)
    return folder
