"""Studies: a config resolved to runs, the loop that trains them, searches on top, plans, verification."""

from mixopt.study.config import StudyConfig
from mixopt.study.loop import autoscale, ddo, doremi, run_study, search
from mixopt.study.study import Study

__all__ = ["Study", "StudyConfig", "autoscale", "ddo", "doremi", "run_study", "search"]
