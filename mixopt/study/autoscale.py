"""AutoScale on a study: the searcher that its config asks for, and the whole job as one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.errors import ConfigError
from mixopt.methods.autoscale.searcher import AutoScale
from mixopt.methods.ddo.design import Design
from mixopt.methods.ddo.searcher import DdoSettings
from mixopt.solve import Supply
from mixopt.spec import whole_batches
from mixopt.store import Store
from mixopt.study.loop import run_study
from mixopt.study.resolution import check_resolution
from mixopt.study.tasks import study_objective
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.methods.base import Recommendation
    from mixopt.report.progress import Watch
    from mixopt.study.study import Study

# Default scales: `training.tokens`, and a quarter of it, the ratio of the paper's own pair (0.3B and 1.2B). The
# smaller one adds a quarter to the cost.
_RATIO = 4


def autoscale_scales(study: Study) -> tuple[int, ...]:
    """Tokens of the base run at each scale, in whole batches: `method.scales`, or tokens/4 and tokens."""
    asked = study.config.method.scales or (study.tokens // _RATIO, study.tokens)
    return tuple(whole_batches(tokens, study.optim.batch_tokens) for tokens in asked)


def autoscale_searcher(study: Study) -> AutoScale:
    """The AutoScale search of a study's `method` section.

    Raises:
        ConfigError: no target, settings that do not go together, or bounds that no mixture satisfies.
    """
    method = study.config.method
    if method.target_tokens is None:
        raise ConfigError(
            "autoscale: expected the tokens that the mixture is for, such as --target 10B; found none"
        )
    if method.fit == "joint":
        raise ConfigError(
            "method.fit: joint is for `mixopt ddo`; autoscale fits a joint law besides DDO's own, and "
            "`predictor: joint` (--predictor joint) takes its advice"
        )
    if method.match_epochs and study.config.data.unique_tokens:
        raise ConfigError(
            "match-epochs: data.unique_tokens limits the distinct tokens of proxies already; leave one of them out"
        )
    scales = autoscale_scales(study)
    # First, as it says more than the bounds would about a data set that is too small.
    for tokens in scales:
        study.check_epochs(study.spec(study.reference, tokens, seed=0), f"base at {format_count(tokens)}")
    settings = DdoSettings(
        factors=method.factors,
        perturb=method.perturb,
        objective=study_objective(study),
        seeds=study.seeds,
        preset=method.preset,
        floor=method.floor,
        # The limits on distinct tokens are the proxies'; the target has all the text.
        supply=Supply(study.corpus, method.target_tokens, study.config.training.max_epochs),
    )
    designs = [Design(study.reference, tokens, method.factors, method.perturb) for tokens in scales]
    searcher = AutoScale(
        designs,
        method.target_tokens,
        settings,
        predictor=method.predictor,
        baselines={"reference": study.reference, "natural": study.natural},
        match_epochs=method.match_epochs,
    )
    _check_matched(study, searcher)
    for design in designs:
        check_resolution(study, design)
    return searcher


def _check_matched(study: Study, searcher: AutoScale) -> None:
    """Distinct tokens that match the target's epochs must be a sequence at least."""
    for tokens in autoscale_scales(study):
        for domain, limit in zip(searcher.domains, searcher.unique_tokens(tokens) or (), strict=False):
            if limit is not None and limit <= study.sequence_length:
                raise ConfigError(
                    f"match-epochs: at {format_count(tokens)} tokens {domain!r} would have {limit} distinct "
                    f"tokens, and a sequence needs {study.sequence_length + 1}: use larger --scales or a smaller "
                    "--target"
                )


def autoscale(study: Study, watch: Watch | None = None) -> Recommendation:
    """The best mixture for a target beyond the scales that can be afforded: DDO at each, then extrapolation.

    Runs that the results table has are used again; the others are trained and recorded.

    Args:
        study: what to train, on what data, where; `method.target_tokens` says for which target.
        watch: who is told how it goes.

    Raises:
        MixoptError: something in the study, the data, the table or the executor has to be mended.
    """
    searcher = autoscale_searcher(study)
    with Store(study.config.results) as store, study.executor() as executor:
        return run_study(study, searcher, store, executor, watch)
