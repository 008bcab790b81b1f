"""Fine-tuning tasks for masked models: GLUE (Wang et al. 2018) and SQuAD 1.1 (Rajpurkar et al. 2016).

`tasks` resolves names on the driver, without torch; `score` fine-tunes a checkpoint on each and measures it, in a
worker. From the names to the scores: `catalogue` (what the tasks are), `sources` (their files, or the hub),
`examples` (rows, checked), `pairs` and `spans` (tokens in, answers out), `loop` (training), `metrics`.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from mixopt.evaluate.tasks import Suite
from mixopt_finetune.catalogue import GROUPS, NAMES
from mixopt_finetune.resolve import tasks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mixopt.evaluation import EvalRuntime, EvalTask, Outcome

if find_spec("sklearn") is None:
    raise ImportError("its metrics need scikit-learn, which is not installed")


def score(checkpoint: Path, tasks: Sequence[EvalTask], runtime: EvalRuntime) -> list[Outcome]:
    """Fine-tune a masked model on each task and measure it; an `Evaluator`.

    Args:
        checkpoint: folder of the model and its tokenizer, in transformers' format.
        tasks: what `tasks` resolved.
        runtime: where and how; `batch_size` is that of the measurement, a training step's is the task's.

    Returns:
        An outcome for each task, in their order; one that cannot be had says why, and the others go on.

    Raises:
        DataError: the checkpoint is none of a masked model, or its tokenizer is another model's.
        ExecutorError: there is no such device.
    """
    # torch and transformers are imported where a model is trained, not where names are resolved.
    from mixopt_finetune.evaluator import evaluate

    return evaluate(checkpoint, tasks, runtime)


SUITE = Suite("masked", tasks, (*GROUPS, *NAMES), score)
