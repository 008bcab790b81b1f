"""ADSO on a study: its scales, what a run at each costs, and the searcher that the config asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.errors import ConfigError
from mixopt.methods.adso.choice import ChoiceSettings
from mixopt.methods.adso.scales import Ladder, Scale
from mixopt.methods.adso.searcher import Adso, AdsoSettings
from mixopt.presets import model_spec
from mixopt.solve import Supply
from mixopt.study.sizes import sized
from mixopt.study.tasks import study_objective

if TYPE_CHECKING:
    from mixopt.study.config import StudyConfig
    from mixopt.study.study import Study

# Shares of the target's tokens that are trained for where no scales are given.
_SHARES = (1 / 16, 1 / 4, 1)


def at_target(config: StudyConfig) -> StudyConfig:
    """The config whose model and tokens are the target's: the largest of `method.sizes` and of `method.scales`.

    Raises:
        ConfigError: an unknown preset.
    """
    method = config.method
    updates = {}
    if method.sizes:
        # Presets are ordered alike whatever the vocabulary.
        largest = max(method.sizes, key=lambda preset: model_spec(preset, 50257).parameters)
        if largest != config.model.preset:
            section = config.model.__class__(preset=largest, vocab_size=config.model.vocab_size)
            updates["model"] = section
    if method.scales:
        updates["training"] = config.training.model_copy(update={"tokens": max(method.scales)})
    return config.model_copy(update=updates)


def ladder_of(study: Study) -> Ladder:
    """Every size at every number of tokens; the study's model and tokens are the target.

    Raises:
        ConfigError: scales that are the same in whole batches, or larger than the target.
    """
    method = study.config.method
    own = study.config.model.preset
    sizes = method.sizes if method.sizes and method.name == "adso" else (own,)
    scales = method.scales or tuple(round(share * study.tokens) for share in _SHARES)
    if method.name == "single-fidelity":
        sizes, scales = (own,), (study.tokens,)
    target = study.spec(study.natural, study.tokens, seed=0)
    found: list[Scale] = []
    for preset in dict.fromkeys(sizes):
        for tokens in dict.fromkeys(scales):
            spec = sized(study, preset).spec(study.natural, tokens, seed=0)
            found.append(Scale(preset, spec.model.parameters, spec.tokens, spec.flops / target.flops))
    ladder = Ladder(tuple(found))
    if method.name != "single-fidelity" and len(ladder.scales) < 2:
        raise ConfigError(
            f"{method.name}: expected two scales or more, found one ({ladder.target}); give --scales such as "
            "200k,800k, or train at the target alone with --method single-fidelity"
        )
    return ladder


def adso_searcher(study: Study) -> Adso:
    """The search of a study's `method` section, one run after the other.

    Raises:
        ConfigError: settings that do not go together, or bounds that no mixture satisfies.
    """
    method, epochs = study.config.method, study.config.training.max_epochs
    if method.seeds != 1:
        raise ConfigError(
            f"method.seeds: {method.name} trains every run with one seed, found {method.seeds}; leave --seeds out "
            "(--verify trains the answer with several)"
        )
    study.check_epochs(study.spec(study.natural, study.tokens, seed=0), "natural")
    settings = AdsoSettings(
        budget=method.budget,
        batch=method.batch,
        objective=study_objective(study),
        choice=ChoiceSettings(guard=method.guard),
        tolerance=method.tolerance,
        floor=method.floor or 0.0,
        # Runs at the target are the longest, so that what they may repeat holds for all.
        supply=Supply(study.available, max(method.target_tokens or 0, study.tokens), epochs),
    )
    return Adso(study.natural, ladder_of(study), settings, {"natural": study.natural})
