"""DDO on a study: the searcher that its config asks for, and the whole job as one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.methods.ddo.joint_searcher import JointDdo
from mixopt.methods.ddo.searcher import Ddo, DdoSettings
from mixopt.solve import Supply
from mixopt.store import Store
from mixopt.study.loop import run_study
from mixopt.study.resolution import check_resolution
from mixopt.study.tasks import study_objective

if TYPE_CHECKING:
    from mixopt.methods.base import Recommendation
    from mixopt.report.progress import Watch
    from mixopt.study.study import Study


def ddo_searcher(study: Study) -> Ddo:
    """The DDO search of a study's `method` section.

    Raises:
        ConfigError: settings that do not go together, or bounds that no mixture satisfies.
    """
    method = study.config.method
    # First, as it says more than the bounds would about a data set that is too small.
    study.check_epochs(study.spec(study.reference, study.tokens, seed=0), "base")
    settings = DdoSettings(
        factors=method.factors,
        perturb=method.perturb,
        objective=study_objective(study),
        seeds=study.seeds,
        preset=method.preset,
        floor=method.floor,
        supply=Supply(
            # The limits on distinct tokens are the proxies'; the target has all the text.
            available=study.corpus if method.target_tokens else study.available,
            target_tokens=method.target_tokens or study.tokens,
            max_epochs=study.config.training.max_epochs,
        ),
    )
    kind = JointDdo if method.fit == "joint" else Ddo
    searcher = kind(study.reference, study.tokens, settings, baselines={"natural": study.natural})
    check_resolution(study, searcher.design)
    return searcher


def ddo(study: Study, watch: Watch | None = None) -> Recommendation:
    """The best mixture at the study's scale: perturb each domain, fit, solve.

    Runs that the results table has are used again; the others are trained and recorded.

    Args:
        study: what to train, on what data, where.
        watch: who is told how it goes.

    Raises:
        MixoptError: something in the study, the data, the table or the executor has to be mended.
    """
    searcher = ddo_searcher(study)
    with Store(study.config.results) as store, study.executor() as executor:
        return run_study(study, searcher, store, executor, watch)
