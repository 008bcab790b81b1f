"""A masked language model in Hugging Face's Trainer: labels by its collator, losses by domain as told by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from tokenizers import Tokenizer, models
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from mixopt.online.hf import OnlineCallback
from tests.online.problems import Following

if TYPE_CHECKING:
    from pathlib import Path

LENGTH, MASK, STEPS = 16, 30, 4


class Texts:
    """Sequences of a domain's own ten tokens."""

    def __init__(self, domain: int, count: int) -> None:
        self.domain, self.count = domain, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        generator = torch.Generator().manual_seed(index)
        tokens = torch.randint(10 * self.domain, 10 * self.domain + 10, (LENGTH,), generator=generator)
        return {"input_ids": tokens.tolist()}


class WatchingForMaskedLM(BertForMaskedLM):
    """Notes labels and logits of every training pass."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.passes: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, input_ids=None, labels=None, **kwargs):
        outputs = super().forward(input_ids=input_ids, labels=labels, **kwargs)
        self.passes.append((labels, outputs.logits.detach()))
        return outputs


def test_losses_by_domain_are_means_over_masked_tokens(tmp_path: Path) -> None:
    vocabulary = {f"t{index}": index for index in range(MASK)} | {"[MASK]": MASK, "[PAD]": MASK + 1}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, "t0")), mask_token="[MASK]", pad_token="[PAD]"
    )
    arguments = TrainingArguments(
        output_dir=str(tmp_path), max_steps=STEPS, per_device_train_batch_size=6, gradient_accumulation_steps=2,
        logging_steps=1, save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True,
        dataloader_pin_memory=False,
    )  # fmt: skip
    torch.manual_seed(0)
    sizes = {"vocab_size": MASK + 2, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    model = WatchingForMaskedLM(BertConfig(**sizes, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    trainer = Trainer(model=model, args=arguments, data_collator=DataCollatorForLanguageModeling(tokenizer))
    texts = {name: Texts(domain, 20) for domain, name in enumerate(("low", "middle", "high"))}
    online = OnlineCallback(texts, Following()).attach(trainer)
    trainer.train()
    assert len(model.passes) == 2 * STEPS
    for step, losses, tokens in online.mixture.policy.told:
        sums, counts = np.zeros(3), np.zeros(3)
        for labels, logits in model.passes[2 * step : 2 * step + 2]:
            chances = logits.double().log_softmax(-1)
            for row, column in (labels != -100).nonzero().tolist():
                domain = labels[row, column] // 10  # a domain's tokens are its own
                sums[domain] -= chances[row, column, labels[row, column]].item()
                counts[domain] += 1
        assert tokens == counts.tolist()
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(losses, sums / counts, rtol=1e-6)
