"""transformers' BERT, made to predict some positions only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import transformers
from transformers.modeling_outputs import MaskedLMOutput

if TYPE_CHECKING:
    from torch import Tensor


class BertForMaskedLM(transformers.BertForMaskedLM):
    """transformers' class, whose head can be asked about some positions only: a step needs few of the logits."""

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, input_ids: Tensor | None = None, *, positions: Tensor | None = None, **options: Any
    ) -> Any:
        """The logits of every position, as transformers has it, or of some.

        Args:
            input_ids: (B, L) token ids.
            positions: (B, T) positions to predict; all if None.
            options: transformers' other arguments, without `positions` only.

        Returns:
            An output with logits (B, T, V), or (B, L, V).
        """
        if positions is None:
            return super().forward(input_ids, **options)
        hidden = self.bert(input_ids, return_dict=True).last_hidden_state
        chosen = hidden.gather(1, positions[..., None].expand(-1, -1, hidden.shape[-1]))
        return MaskedLMOutput(logits=self.cls(chosen))
