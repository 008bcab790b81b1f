"""Weights & Biases: a run a run, under the run's own id; `WANDB_MODE=offline` keeps them for `wandb sync`."""

from __future__ import annotations

from mixopt.trackers.base import Tracked, Tracker

_LONGEST_TAG = 64


class WeightsAndBiases(Tracker):
    """Logs with `wandb`, configured by its own environment variables (`WANDB_API_KEY`, `WANDB_MODE`, …)."""

    library, package = "wandb", "mixopt[wandb]"

    def log(self, run: Tracked) -> None:
        """Log the run; one with this id that is there already is gone on with, and its points stay single."""
        import wandb  # pyright: ignore[reportMissingImports] (an extra)

        self._folder.mkdir(parents=True, exist_ok=True)
        logged = wandb.init(
            project=self._project,
            id=run.run_id,
            resume="allow",
            name=run.name,
            group=run.study,
            job_type=run.role,
            tags=[tag[:_LONGEST_TAG] for tag in (f"study {run.study}", run.role, run.result.status)],
            config=run.settings,
            dir=str(self._folder),
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )
        try:
            logged.define_metric("tokens")
            logged.define_metric("*", step_metric="tokens")
            # wandb drops steps that a run has already, so a run that is logged again does not repeat its points.
            for step, (tokens, metrics) in enumerate(run.curves.items()):
                logged.log({"tokens": tokens, **metrics}, step=step)
            logged.summary.update({**run.final, "status": run.result.status, "error": run.result.error})
        finally:
            logged.finish(exit_code=0 if run.result.status == "finished" else 1)
