"""Studies: a config resolved to runs, the loop that trains them, DDO and AutoScale on top, plans, verification."""

from mixopt.study.autoscale import autoscale, autoscale_searcher
from mixopt.study.config import StudyConfig
from mixopt.study.ddo import ddo, ddo_searcher
from mixopt.study.doremi import doremi
from mixopt.study.loop import run_study
from mixopt.study.study import Study

__all__ = ["Study", "StudyConfig", "autoscale", "autoscale_searcher", "ddo", "ddo_searcher", "doremi", "run_study"]
