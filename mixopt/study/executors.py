"""The executor that a study's config asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixopt.execute.base import Executor
    from mixopt.study.config_sections import ExecutorSection


def make_executor(section: ExecutorSection) -> Executor:
    """Where runs are trained; nothing is started yet."""
    if section.kind == "inline":
        from mixopt.execute.inline import InlineExecutor

        return InlineExecutor()
    from mixopt.execute.ray_pool import RayExecutor

    return RayExecutor(
        address=section.ray_address,
        cpus_per_run=section.cpus_per_run,
        gpus_per_run=section.gpus_per_run,
        processes_per_run=section.processes_per_run,
        device=section.device,
        workers=section.workers,
    )
