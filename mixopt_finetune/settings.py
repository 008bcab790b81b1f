"""How a model is fine-tuned: what changes the score beside the task's content."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

# The width that the tasks' learning rates are for: BERT-base's.
REFERENCE_WIDTH = 768


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """Settings of one fine-tuning.

    Rate, epochs, batch and length: AutoScale (Kang et al. 2024), table 6, whose batch is 8 on each of 4 devices.
    Warm-up, decay and dropout, which it does not tell: those of BERT (Devlin et al. 2019, and its code).

    Attributes:
        learning_rate: peak rate at a width of `REFERENCE_WIDTH`.
        seed: of the new head, the order of examples and dropout.
        limit: most examples of each split, a fixed random choice; None for all.
        epochs: passes over the training examples.
        batch: examples of one step.
        length: most tokens of an example, special ones included; a shorter context of the model is the limit then.
        warmup: share of the steps in which the rate rises; it falls linearly to 0 after.
        weight_decay: of matrices.
        dropout: of hidden layers, attention and the head.
    """

    learning_rate: float
    seed: int = 0
    limit: int | None = None
    epochs: int = 3
    batch: int = 32
    length: int = 128
    warmup: float = 0.1
    weight_decay: float = 0.01
    dropout: float = 0.1

    @classmethod
    def of(cls, settings: dict[str, Any]) -> FineTuning:
        """Those in the settings of an `EvalTask`, which has others beside them."""
        return cls(**{field.name: settings[field.name] for field in fields(cls) if field.name in settings})

    def rate(self, width: int) -> float:
        """The peak rate for a model of some width.

        Adam's best rate falls as the width grows (Yang et al. 2022, "Tensor Programs V", table 3), so a narrower
        model than BERT-base takes 768 / width of the rate: 1.2e-4 and 3e-4 at a width of 128, where Turc et al.
        2019 ("Well-read students learn better"), section 4.1, tried 5e-5 to 3e-4. A wider one takes it as it is, as
        BERT-large did.
        """
        return self.learning_rate * max(1.0, REFERENCE_WIDTH / width)
