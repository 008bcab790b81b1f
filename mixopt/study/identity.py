"""What a study's answer rests on, and the identity that follows from it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from mixopt.methods.settings import told
from mixopt.objective import WeightedLoss
from mixopt.store.task_errors import by_label
from mixopt.study.mixtures import resolve_mixture
from mixopt.study.tasks import needed_tasks

if TYPE_CHECKING:
    from mixopt.study.setup import Setup


def resolve(study: Setup) -> dict[str, Any]:
    """All that the answer rests on, as JSON values, and the config that it follows from.

    What all methods share, and of the method's own settings those that change its answer; mixtures and weights in
    files stand in it as numbers.
    """
    content = study.spec(study.natural, study.tokens, seed=0).to_dict()
    config, settings, objective = study.config, study.config.method, study.objective
    fields = {name: told(field) for name, field in type(settings).model_fields.items()}
    asked = settings.model_dump(mode="json", include={name for name, one in fields.items() if one.identity})
    mixtures = {name: resolve_mixture(asked[name], study).to_dict() for name, one in fields.items() if one.mixture}
    # Only those that the answer rests on; what else is measured changes nothing.
    tasks = by_label(needed_tasks(study))
    return {
        "config": config.model_dump(mode="json"),
        "model": content["model"],
        "optim": content["optim"],
        "evaluation": content["evaluation"],
        "sequence_length": content["sequence_length"],
        "tokens": study.tokens,
        "fingerprint": study.manifest.fingerprint,
        "domains": list(study.domains),
        "unique_tokens": content["data"]["unique_tokens"],
        "max_epochs": config.training.max_epochs,
        "whole_word": content["whole_word"],
        "method": {**asked, **mixtures},
        **({"objective": objective.weights.to_dict()} if isinstance(objective, WeightedLoss) else {}),
        **({"tasks": {task.identity: name for name, same in tasks.items() for task in same}} if tasks else {}),
    }


def study_id(resolved: dict[str, Any]) -> str:
    """12 hexadecimal digits; the same for the same question, wherever it is run."""
    question = {key: value for key, value in resolved.items() if key != "config"}
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:12]
