"""Fine-tunes a checkpoint on tasks, one after the other."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import torch

from mixopt.errors import DataError, MixoptError
from mixopt.evaluation import Outcome
from mixopt.score import Score
from mixopt.train.device import use_device
from mixopt_finetune.catalogue import TASKS
from mixopt_finetune.encode import Encoder
from mixopt_finetune.loop import PREDICTION_ROWS, fine_tune, load_model, predict
from mixopt_finetune.pairs import Pairs
from mixopt_finetune.settings import FineTuning
from mixopt_finetune.sources import read
from mixopt_finetune.spans import Spans

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from transformers import PreTrainedConfig

    from mixopt.evaluation import EvalRuntime, EvalTask
    from mixopt.train.device import Device


def evaluate(checkpoint: Path, tasks: Sequence[EvalTask], runtime: EvalRuntime) -> list[Outcome]:
    """`mixopt_finetune.suite.score`, which documents it."""
    config = _masked_config(checkpoint)
    outcomes = []
    with use_device(runtime) as device, _quiet():
        worker = _Worker(checkpoint, config, runtime, device)
        for task in tasks:
            begun = time.monotonic()
            try:
                scores, error = worker.scores(task), None
            except (MixoptError, OSError, torch.OutOfMemoryError) as problem:
                scores, error = (), " ".join(str(problem).split())
            seconds = time.monotonic() - begun
            outcomes.append(Outcome(task=task.name, scores=scores, error=error, seconds=seconds))
    return outcomes


class _Worker:
    """One checkpoint; keeps the tokens of the last task, whose seeds follow one another."""

    def __init__(self, checkpoint: Path, config: PreTrainedConfig, runtime: EvalRuntime, device: Device) -> None:
        self._checkpoint, self._config, self._device = checkpoint, config, device
        self._rows = runtime.batch_size or PREDICTION_ROWS[device.name]
        self._last: tuple[object, Encoder, Pairs | Spans] | None = None

    def scores(self, resolved: EvalTask) -> tuple[Score, ...]:
        """Fine-tune on one task and measure."""
        tuning = FineTuning.of(resolved.settings)
        encoder, problem = self._prepared(resolved, tuning)
        device = self._device
        # The head, dropout and nothing else draw from torch's generator, which is as it was afterwards.
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device.name == "cuda" else []):
            torch.manual_seed(tuning.seed)
            model = load_model(self._checkpoint, problem.head, problem.options, tuning.dropout, device)
            fine_tune(model, problem.features, tuning, device, encoder.padding)
        metrics = problem.measure(
            lambda inputs, read: predict(model, inputs, read, device, self._rows, encoder.padding)
        )
        return tuple(
            Score(
                task=resolved.name,
                metric=metric.name,
                value=metric.value,
                standard_error=metric.standard_error,
                items=metric.items,
                identity=resolved.identity,
                seed=tuning.seed,
                main=index == 0,
                chance=metric.chance,
            )
            for index, metric in enumerate(metrics)
        )

    def _prepared(self, resolved: EvalTask, tuning: FineTuning) -> tuple[Encoder, Pairs | Spans]:
        key = (resolved.name, resolved.files, resolved.folder, tuning.limit, tuning.length)
        if self._last is None or self._last[0] != key:
            self._last = None  # the memory of the one before is for this one
            config = self._config
            encoder = Encoder(self._checkpoint, config.vocab_size, config.max_position_embeddings, tuning.length)
            task = TASKS[resolved.name]
            examples = {split: found.limited(tuning.limit) for split, found in read(resolved).items()}
            problem = (Spans if task.problem == "spans" else Pairs)(task, examples, encoder)
            self._last = (key, encoder, problem)
        return self._last[1], self._last[2]


def _masked_config(checkpoint: Path) -> PreTrainedConfig:
    """The checkpoint's config.

    Raises:
        DataError: it cannot be read, or is none of a masked model.
    """
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING

    try:
        config = AutoConfig.from_pretrained(checkpoint)
    # transformers raises many kinds, of which a missing file is one.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{checkpoint}: no checkpoint of transformers that can be read ({reason})") from error
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING or "ForCausalLM" in " ".join(config.architectures or ()):
        raise DataError(
            f"{checkpoint}: fine-tuning tasks need a masked model, found a {config.model_type}; ask a causal model "
            "lm-eval's tasks, or train with --model bert-…"
        )
    return config


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' report that the head is new, which it has to be, and its progress bar."""
    from transformers.utils import logging

    level, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
