"""Fine-tuning and prediction, alike for every head that transformers puts on an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mixopt.errors import DataError
from mixopt.spec import OptimSpec
from mixopt.train.learner import learning_rate, make_adamw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedModel

    from mixopt.train.device import Device
    from mixopt_finetune.encode import Inputs
    from mixopt_finetune.settings import FineTuning

# Examples of one forward pass without gradients.
PREDICTION_ROWS = {"cpu": 32, "cuda": 256}

# Batches that are sorted by length together: most of the padding goes, and their examples still vary by epoch.
_POOL = 16


@dataclass(frozen=True, eq=False)
class Features:
    """n examples to train on.

    Attributes:
        inputs: their tokens.
        targets: (n,) values by the model's own argument (`labels`; `start_positions` and `end_positions`).
    """

    inputs: Inputs
    targets: dict[str, NDArray[Any]]


def load_model(checkpoint: Path, head: str, options: dict[str, Any], dropout: float, device: Device) -> PreTrainedModel:
    """A checkpoint's encoder with a new head on it, drawn from torch's generator, in float32.

    Args:
        checkpoint: folder of a masked model.
        head: one of transformers' classes, `AutoModelFor…`.
        options: of the head (`num_labels`, `problem_type`).
        dropout: in place of the checkpoint's, for those that its model has.
        device: where it goes.

    Raises:
        DataError: the checkpoint does not hold the whole encoder.
    """
    import transformers

    config = transformers.AutoConfig.from_pretrained(checkpoint, **options)
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
        if hasattr(config, name):
            setattr(config, name, dropout)
    loader: Any = getattr(transformers, head)
    model, report = loader.from_pretrained(
        checkpoint, config=config, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True
    )
    # Those of other shapes are reported as well, rather than raised in many lines.
    encoder = f"{model.base_model_prefix}."
    lost = sorted(
        name
        for name in (*report["missing_keys"], *(entry[0] for entry in report["mismatched_keys"]))
        # Masked language modelling trains no pooler.
        if name.startswith(encoder) and not name.startswith(f"{encoder}pooler.")
    )
    if lost:
        raise DataError(
            f"{checkpoint}: expected all weights of a masked model's encoder, found no {lost[0]} of the right "
            f"shape ({len(lost)} are wanting); train it again, or give another checkpoint"
        )
    return model.to(device.name)


def fine_tune(model: PreTrainedModel, features: Features, tuning: FineTuning, device: Device, padding: int) -> None:
    """Train a model on examples, in place.

    Args:
        model: on its device.
        features: n of them.
        tuning: the settings.
        device: where the model is.
        padding: a token to fill batches with.

    Raises:
        DataError: a loss was not finite.
    """
    lengths = features.inputs.lengths
    steps = tuning.epochs * -(-len(lengths) // tuning.batch)
    optim = OptimSpec(
        lr=tuning.rate(model.config.hidden_size), schedule="linear", warmup=tuning.warmup, final_lr=0.0,
        beta2=0.999, weight_decay=tuning.weight_decay,
    )  # fmt: skip
    optimizer = make_adamw(model, optim)
    order = np.random.default_rng(tuning.seed)
    step, total = 0, torch.zeros((), device=device.name)
    model.train()
    for epoch in range(1, tuning.epochs + 1):
        for rows in _batches(lengths, tuning.batch, order):
            for group in optimizer.param_groups:
                # One step more than there are: the rate is 0 after the last one, not at it.
                group["lr"] = learning_rate(optim, step, steps + 1)
            targets = {name: device.put(values[rows]) for name, values in features.targets.items()}
            with device.autocast():
                loss = model(**_padded(model, features.inputs, rows, device, padding), **targets).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), optim.grad_clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total += loss.detach()
            step += 1
        _require_finite(bool(torch.isfinite(total)), f"in epoch {epoch} of {tuning.epochs}")


def predict(
    model: PreTrainedModel,
    inputs: Inputs,
    read: Callable[[Any, NDArray[np.int64]], Tensor],
    device: Device,
    rows: int,
    padding: int,
) -> NDArray[np.float64]:
    """What a model says of each sequence, shape (n, k).

    Args:
        model: on its device.
        inputs: n sequences.
        read: (B, k) values from the model's output and the (B,) sequences that it is of.
        device: where the model is.
        rows: sequences of one pass.
        padding: a token to fill batches with.

    Raises:
        DataError: a value is not finite.
    """
    order = np.argsort(inputs.lengths, kind="stable")
    model.eval()
    found = []
    with torch.no_grad():
        for start in range(0, len(order), rows):
            part = order[start : start + rows]
            with device.autocast():
                output = model(**_padded(model, inputs, part, device, padding))
            found.append(read(output, part).double())
    values = torch.cat(found).cpu().numpy()
    _require_finite(bool(np.isfinite(values).all()), "after training")
    return values[np.argsort(order)]


def _batches(lengths: NDArray[np.int64], size: int, order: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """One epoch of batches of examples of about one length, in random order."""
    shuffled = order.permutation(len(lengths))
    batches = []
    for start in range(0, len(shuffled), _POOL * size):
        pool = shuffled[start : start + _POOL * size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[first : first + size] for first in range(0, len(pool), size)]
    for index in order.permutation(len(batches)):
        yield batches[index]


def _padded(
    model: PreTrainedModel, inputs: Inputs, rows: NDArray[np.int64], device: Device, padding: int
) -> dict[str, Tensor]:
    """The model's arguments for some sequences, as long as the longest of them."""
    shape = (len(rows), max(len(inputs.tokens[row]) for row in rows))
    tokens, segments = np.full(shape, padding, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    for place, row in enumerate(rows):
        length = len(inputs.tokens[row])
        tokens[place, :length], segments[place, :length] = inputs.tokens[row], inputs.segments[row]
        mask[place, :length] = 1
    padded = {"input_ids": device.put(tokens), "attention_mask": device.put(mask)}
    if getattr(model.config, "type_vocab_size", 1) > 1:
        padded["token_type_ids"] = device.put(segments)
    return padded


def _require_finite(finite: bool, when: str) -> None:
    if not finite:
        raise DataError(f"fine-tuning diverged: a value was not finite {when}; is the checkpoint's training sound?")
