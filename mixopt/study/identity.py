"""What a study's answer rests on, and the identity that follows from it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from mixopt.objective import WeightedLoss, parse_objective
from mixopt.store.task_errors import by_label
from mixopt.study.tasks import needed_tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixopt.evaluate.base import EvalTask
    from mixopt.study.study import Study

# Settings that came after the first studies were recorded, with what they are when nobody sets them: at these they
# are left out of the identity, so that older studies keep theirs.
_ADDED: dict[str, dict[str, Any]] = {
    "method": {
        "scales": None,
        "predictor": "auto",
        "match_epochs": False,
        "fit": "lines",
        "eta": 1.0,
        "smoothing": 1e-3,
        "sampling": "uniform",
        "rounds": None,
        "runs": None,
        "design": None,
        "strengths": [0.1, 5.0],
        "temperature": 0.5,
        "step": None,
        "groups": None,
        "regressor": None,
        "kl": 0.0,
        "pareto": None,
        "extend": None,
        "confirm": 0,
        "sizes": None,
        "budget": 10.0,
        "batch": 1,
        "guard": 0.5,
        "tolerance": 0.0,
    },
    "training": {"whole_word": False},
    "evaluation": {"only": []},
}


def resolve(study: Study) -> dict[str, Any]:
    """Everything that the answer rests on, as JSON values: config, model, optimiser, files of weights, data."""
    base = study.spec(study.reference, study.tokens, seed=0)
    content = base.to_dict()
    objective = parse_objective(study.config.method.objective)
    limits = base.data.unique_tokens
    # Only those that the answer rests on; what else is measured changes nothing.
    tasks = needed_tasks(study)
    return {
        "config": study.config.model_dump(mode="json"),
        "model": content["model"],
        "optim": content["optim"],
        "evaluation": content["evaluation"],
        "sequence_length": content["sequence_length"],
        "tokens": study.tokens,
        "reference": study.reference.to_dict(),
        **({"sampling": _sampling(study)} if study.config.method.name == "doremi" else {}),
        **({"objective": objective.weights.to_dict()} if isinstance(objective, WeightedLoss) else {}),
        **({"tasks": _called(tasks)} if tasks else {}),
        "fingerprint": study.manifest.fingerprint,
        "unique_tokens": limits,
    }


def _called(tasks: Sequence[EvalTask]) -> dict[str, str]:
    """Identities of tasks, and what the study calls them."""
    return {task.identity: label for label, same in by_label(tasks).items() for task in same}


def _sampling(study: Study) -> dict[str, float]:
    """The weights by which DoReMi's proxies draw."""
    from mixopt.study.mixtures import resolve_mixture

    return resolve_mixture(study.config.method.sampling, study).to_dict()


def study_id(resolved: dict[str, Any]) -> str:
    """12 hexadecimal digits; the same for the same question, wherever it is run."""
    asked = {key: resolved["config"][key] for key in ("method", "training")}
    question = {**{key: value for key, value in resolved.items() if key != "config"}, **asked}
    for section, added in _ADDED.items():
        part = question[section]
        question[section] = {key: value for key, value in part.items() if key not in added or value != added[key]}
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:12]
