"""Tasks of lm-eval, scored by lm-eval in this process."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixopt.evaluate import harness_setup as setup
from mixopt.evaluation import EvalRuntime, EvalTask, Outcome
from mixopt.score import Score

if TYPE_CHECKING:
    from lm_eval.api.task import Task
    from lm_eval.models.huggingface import HFLM


# Which metric stands for a task: the one that its file names as `main` in its metadata, else the first of these
# that it has, else its first. The papers do not say whether their accuracies are normalised by length, so it is the
# plain one; `acc_norm` is recorded beside it.
MAIN_METRICS = (
    "acc", "exact_match", "f1", "mcc", "pct_stereotype", "bits_per_byte", "byte_perplexity", "word_perplexity",
    "perplexity",
)  # fmt: skip

# Shares of right choices; guessing gets one of the choices right.
_CHOSEN = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")

# The model that was scored last: tasks of one model come one after the other.
_last: dict[tuple[object, ...], HFLM] = {}

# Resamplings behind the standard error of metrics that are no means (perplexity, F1, Matthews correlation).
_BOOTSTRAPS = 1000


def score(checkpoint: Path, tasks: Sequence[EvalTask], runtime: EvalRuntime) -> list[Outcome]:
    """Score a causal model at tasks of lm-eval; see `mixopt.evaluation.Evaluator`.

    Scores equal those of `lm_eval.simple_evaluate` with the same batch size: the same prompts, seeds and metrics.
    What it does beside that (a listing of the machine's software) is left out: it takes longer than a small model.

    Args:
        checkpoint: a folder that `from_pretrained` reads.

    Raises:
        DataError: the checkpoint cannot be loaded.
        ExecutorError: a GPU was asked for and there is none.
    """
    from mixopt.train.device import use_device

    outcomes = []
    reachable = all(task.files for task in tasks) or setup.unreachable() is None
    with use_device(runtime) as device, setup.offline(not reachable), setup.one_process():
        # A checkpoint that was written anew is another one.
        key = (checkpoint, checkpoint.stat().st_mtime_ns, device, runtime.batch_size)
        if key not in _last:
            forget()
            with setup.quiet():
                _last[key] = setup.open_model(checkpoint, runtime, device)
        for task in tasks:
            with setup.quiet(), setup.lm_eval_seeds():
                outcomes.append(_score_one(_last[key], task, reachable))
    return outcomes


def forget() -> None:
    """Let go of the model that was scored last, and of its memory."""
    _last.clear()


def _score_one(model: HFLM, task: EvalTask, reachable: bool) -> Outcome:
    from lm_eval import evaluate

    started, loaded = time.monotonic(), None
    with tempfile.TemporaryDirectory(prefix="mixopt-task-") as folder:
        try:
            loaded = setup.load_task(task, Path(folder))
            for part in loaded["tasks"].values():
                _set_shots(part, task.settings.get("shots"))
            limit = task.settings.get("limit")
            found: Any = evaluate(model, loaded, limit=limit, bootstrap_iters=_BOOTSTRAPS, log_samples=False)
            scores = _scores(task, loaded["tasks"], found)
        except Exception as error:  # whatever it is, the other tasks can be had
            missing = loaded is None and not task.files and not reachable
            return Outcome(
                task=task.name, error=_NO_HUB if missing else _one_line(error), seconds=time.monotonic() - started
            )
    if not scores:
        return Outcome(
            task=task.name,
            error="none of its metrics is a finite number; is the model's loss finite?",
            seconds=time.monotonic() - started,
        )
    return Outcome(task=task.name, scores=scores, seconds=time.monotonic() - started)


_NO_HUB = (
    "its data set is not on this machine and the Hugging Face hub does not answer; evaluate where there is a "
    "network, or take tasks that need none (--tasks offline, or task files with local data)"
)


def _one_line(error: Exception) -> str:
    if type(error).__name__ == "OutOfMemoryError":
        return "the device's memory is full; use a smaller --batch-size"
    text = " ".join(str(error).split())
    return f"lm-eval: {type(error).__name__}: {text}"[:400]


def _set_shots(part: Task, shots: int | None) -> None:
    """Solved examples in the prompt, drawn as by `lm_eval.simple_evaluate`; None for what the task's file says."""
    own = part.get_config("num_fewshot")
    if own is None or (shots is not None and own != 0):
        part.set_config(key="num_fewshot", value=shots or 0)
    part.set_fewshot_seed(seed=1234)


def _scores(task: EvalTask, parts: dict[str, Task], found: dict[str, Any]) -> tuple[Score, ...]:
    """The metrics of a task or a group that are finite numbers."""
    measured = found["results"][task.name]
    better = found["higher_is_better"].get(task.name, {})
    values: dict[str, tuple[float, float | None]] = {}
    for key, value in measured.items():
        metric, comma, kind = key.partition(",")
        if not comma or metric.endswith("_stderr") or not _is_finite(value):
            continue
        error = measured.get(f"{metric}_stderr,{kind}")
        # Tasks that score one answer in several ways name each of them.
        name = metric if kind == "none" else key
        values[name] = float(value), float(error) if _is_finite(error) else None
    stated = [main for part in parts.values() if (main := (part.config.metadata or {}).get("main"))]
    order = (*stated, *MAIN_METRICS)
    main = next((name for one in order for name in values if name.partition(",")[0] == one), None)
    main = main or next(iter(values), None)
    chance = _chance([*parts.values()], task.settings.get("limit"))
    return tuple(
        Score(
            task=task.name,
            metric=name,
            value=value,
            standard_error=error,
            items=measured["sample_len"],
            identity=task.identity,
            shots=found["n-shot"].get(task.name) or 0,
            higher_is_better=better.get(name.partition(",")[0]) is not False,
            main=name == main,
            chance=chance if name in _CHOSEN else None,
        )
        for name, (value, error) in values.items()
    )


def _is_finite(value: object) -> bool:
    return not isinstance(value, str) and isinstance(value, int | float) and math.isfinite(value)


def _chance(parts: list[Any], limit: int | None) -> float | None:
    """Share of right answers that guessing gets: mean of 1 / choices over items; None where items do not tell.

    A task may also say it itself, as `chance` in its metadata.
    """
    total, items = 0.0, 0
    for part in parts:
        config = part.config
        stated = (config.metadata or {}).get("chance")
        count = min(limit or len(part.eval_docs), len(part.eval_docs))
        items += count
        if stated is not None:
            total += stated * count
        elif part.OUTPUT_TYPE == "multiple_choice" and not callable(config.process_results):
            for number in range(count):
                document = part.eval_docs[number]
                choices, right = part.doc_to_choice(document), part.doc_to_target(document)
                total += (len(set(right)) if isinstance(right, list) else 1) / len(choices)
        else:
            return None
    return total / items if items else None
