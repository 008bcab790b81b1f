"""What `--dry-run` shows of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.execute.base import InlineExecutor
from mixopt.history import empty_history
from mixopt.study.loop import plan_runs
from mixopt.study.plan import plan_of

if TYPE_CHECKING:
    from mixopt.execute.base import Trainer
    from mixopt.methods.base import Searcher
    from mixopt.store import Store
    from mixopt.study import Study
    from mixopt.study.plan import Plan


def first_plan(study: Study, searcher: Searcher, store: Store | None, trainer: Trainer) -> Plan:
    """The plan of what a method asks for first."""
    return plan_of(study, plan_runs(study, searcher.ask(empty_history())), store, InlineExecutor(), trainer)
