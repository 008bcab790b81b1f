"""A study from its question to its recommendation, as one call by method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.store import Store
from mixopt.study.loop import run_study

if TYPE_CHECKING:
    from mixopt.execute.base import Watch
    from mixopt.methods.base import Recommendation
    from mixopt.study.study import Study


def search(study: Study, watch: Watch | None = None) -> Recommendation:
    """The best mixture by the method that the study's `method` section names.

    Runs that the results table has are used again; the others are trained and recorded.

    Args:
        study: what to train, on what data, where.
        watch: who is told how it goes.

    Raises:
        MixoptError: something in the study, the data, the table or the executor has to be mended.
    """
    searcher = study.searcher()
    with Store(study.config.results) as store, study.executor() as executor:
        return run_study(study, searcher, store, executor, watch)


def ddo(study: Study, watch: Watch | None = None) -> Recommendation:
    """`search` by DDO: the best mixture at the study's scale."""
    return search(study.under("ddo"), watch)


def autoscale(study: Study, watch: Watch | None = None) -> Recommendation:
    """`search` by AutoScale: the best mixture for `method.target_tokens`, beyond what can be afforded."""
    return search(study.under("autoscale"), watch)


def doremi(study: Study, watch: Watch | None = None) -> Recommendation:
    """`search` by DoReMi: what a proxy that is held against a reference upweighs."""
    return search(study.under("doremi"), watch)
