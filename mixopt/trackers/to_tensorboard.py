"""TensorBoard: a folder of event files a run, `tensorboard --logdir RESULTS/tracking/tensorboard` shows them."""

from __future__ import annotations

import shutil

from mixopt.trackers.base import Tracked, Tracker


class TensorBoard(Tracker):
    """Writes event files with torch's `SummaryWriter`; steps are training tokens. Folders are its projects."""

    library, package = "tensorboard", "mixopt[tensorboard]"

    def log(self, run: Tracked) -> None:
        """Write the run's folder anew; its name is the run's id."""
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        place = self._folder / "tensorboard" / run.run_id
        shutil.rmtree(place, ignore_errors=True)
        with SummaryWriter(str(place)) as writer:
            # The HPARAMS tab tells runs apart by role and setting; `add_hparams` would make a second run of it.
            known = {key: value for key, value in run.settings.items() if value is not None}
            events = writer.file_writer
            assert events is not None  # it is made with the writer
            for summary in hparams({**known, "status": run.result.status}, run.final):
                events.add_summary(summary)
            lines = [f"{run.name}: {run.result.status}", run.result.error or "", f"study {run.study}"]
            writer.add_text("run", "  \n".join(line for line in lines if line))
            for tokens, metrics in run.curves.items():
                for name, value in metrics.items():
                    writer.add_scalar(name, value, tokens)
            for name, value in run.final.items():
                writer.add_scalar(name, value, run.result.tokens)
