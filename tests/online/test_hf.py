"""Hugging Face's Trainer on an online mixture: its own loss untouched, losses by domain right, resume exact."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers import (
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    T5ForConditionalGeneration,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.modeling_outputs import CausalLMOutput

from mixopt.errors import ConfigError, DataError
from mixopt.online.hf import STATE_FILE, OnlineCallback
from mixopt.policy import Odm
from tests.online.problems import Following

LENGTH, VOCABULARY, STEPS = 12, 20, 6


class Sentences:
    """Items with labels of which some are masked, and with a column that the model does not take."""

    def __init__(self, domain: int, count: int) -> None:
        self.domain, self.count = domain, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, object]:
        generator = torch.Generator().manual_seed(100 * self.domain + index)
        tokens = torch.randint(5 * self.domain, 5 * self.domain + 8, (LENGTH,), generator=generator).tolist()
        masked = index % 4
        return {"input_ids": tokens, "labels": [-100] * masked + tokens[masked:], "title": f"item {index}"}


class WatchingForCausalLM(GPT2LMHeadModel):
    """Notes what reaches it in training, and its logits."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        self.passes: list[dict[str, torch.Tensor]] = []

    def forward(self, input_ids=None, labels=None, attention_mask=None, **kwargs):
        outputs = super().forward(input_ids=input_ids, labels=labels, **kwargs)
        if self.training:
            self.passes.append({"input_ids": input_ids, "logits": outputs.logits.detach(), **kwargs})
        return outputs


def sentences() -> dict[str, Sentences]:
    return {"low": Sentences(0, 9), "middle": Sentences(1, 7), "high": Sentences(2, 5)}


def make_trainer(folder, dropout: float = 0.0, model_class=WatchingForCausalLM, **arguments) -> Trainer:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=LENGTH, n_embd=16, n_layer=1, n_head=2, resid_pdrop=dropout,
        embd_pdrop=dropout, attn_pdrop=dropout, use_cache=False, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    defaults = {
        "output_dir": str(folder), "max_steps": STEPS, "per_device_train_batch_size": 3, "use_cpu": True,
        "gradient_accumulation_steps": 2, "learning_rate": 5e-3, "logging_steps": 1, "save_steps": 2, "seed": 3,
        "report_to": "none", "disable_tqdm": True, "dataloader_pin_memory": False,
    }  # fmt: skip
    return Trainer(model=model_class(config), args=TrainingArguments(**{**defaults, **arguments}))


def attach(trainer: Trainer, policy: object = None, datasets: dict | None = None) -> OnlineCallback:
    return OnlineCallback(datasets or sentences(), policy or Following()).attach(trainer)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Trainer, OnlineCallback]:
    trainer = make_trainer(tmp_path_factory.mktemp("hf"), dropout=0.1)
    online = attach(trainer)
    trainer.train()
    return trainer, online


def by_hand(passes: list[dict[str, torch.Tensor]]) -> tuple[np.ndarray, np.ndarray]:
    """(3,) mean losses and targets by domain of a step's passes; rows are known by their tokens."""
    rows = {
        tuple(item["input_ids"]): (k, item["labels"])
        for k, dataset in enumerate(sentences().values())
        for item in (dataset[i] for i in range(len(dataset)))
    }
    sums, tokens = np.zeros(3), np.zeros(3)
    for batch in passes:
        chances = batch["logits"].double().log_softmax(-1)
        for row, ids in enumerate(batch["input_ids"].tolist()):
            domain, labels = rows[tuple(ids)]
            for position in range(LENGTH - 1):
                target = labels[position + 1]
                if target != -100:
                    sums[domain] -= chances[row, position, target].item()
                    tokens[domain] += 1
    with np.errstate(invalid="ignore"):
        return sums / tokens, tokens


def test_losses_by_domain_are_those_of_the_passes_that_train(trained) -> None:
    trainer, online = trained
    passes = trainer.model.passes
    assert len(passes) == 2 * STEPS  # and no other
    for step, losses, tokens in online.mixture.policy.told:
        expected, counts = by_hand(passes[2 * step : 2 * step + 2])
        assert tokens == counts.tolist()
        np.testing.assert_allclose(losses, expected, rtol=1e-6)


def test_training_loss_is_the_trainers_own(trained) -> None:
    trainer, online = trained
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    ours = [np.nansum(np.array(losses) * tokens) / sum(tokens) for _, losses, tokens in online.mixture.policy.told]
    assert logged == pytest.approx(ours, rel=1e-5)


@pytest.mark.parametrize("kind", [GPT2LMHeadModel, BertForMaskedLM, T5ForConditionalGeneration])
def test_labels_are_shifted_where_the_model_shifts_them(tmp_path, kind) -> None:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    more = {"n_layer": 1} if kind is GPT2LMHeadModel else {}
    if kind is T5ForConditionalGeneration:
        more = {"d_kv": 8, "d_ff": 16, "decoder_start_token_id": 0, "pad_token_id": 0}
    trainer = make_trainer(tmp_path, save_strategy="no", max_steps=1, gradient_accumulation_steps=1)
    torch.manual_seed(0)
    trainer = Trainer(model=kind(kind.config_class(**sizes, **more)), args=trainer.args)
    # No label at the first position, which the trainer counts for some models that never predict it.
    items = [sentences()["low"][index] for index in range(9) if index % 4]
    online = attach(trainer, Following(1), {"low": items})
    trainer.train()
    ((_, (loss,), _),) = online.mixture.policy.told
    assert loss == pytest.approx(trainer.state.log_history[0]["loss"], rel=1e-5)


def test_only_what_the_model_takes_reaches_it(trained) -> None:
    trainer, _ = trained
    assert {key for batch in trainer.model.passes for key in batch} <= {"input_ids", "logits", "num_items_in_batch"}


def test_mixture_and_losses_go_to_the_trainers_loggers(tmp_path) -> None:
    heard = []

    class Listening(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs) -> None:
            heard.append(logs)

    trainer = make_trainer(tmp_path, save_strategy="no", logging_steps=3)
    trainer.add_callback(Listening())
    online = attach(trainer)
    trainer.train()
    entries = [logs for logs in heard if "loss" in logs]
    assert len(entries) == 2
    assert all(sum(logs[f"mixture/{name}"] for name in sentences()) == pytest.approx(1) for logs in entries)
    told = online.mixture.policy.told[3:]
    losses, tokens = (np.array([step[part] for step in told]) for part in (1, 2))
    expected = np.nansum(losses * tokens, axis=0) / tokens.sum(axis=0)
    assert [entries[1][f"loss/{name}"] for name in sentences()] == pytest.approx(expected.tolist())


def outcome(trainer: Trainer) -> tuple[list[dict], list[torch.Tensor]]:
    times = {"train_runtime", "train_samples_per_second", "train_steps_per_second"}
    logs = [entry for entry in trainer.state.log_history if not times & entry.keys()]
    return logs, [parameter.detach() for parameter in trainer.model.parameters()]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("checkpoint", ["checkpoint-2", True])
def test_resumed_run_equals_uninterrupted_one(trained, tmp_path, workers, checkpoint) -> None:
    class Stopping(TrainerCallback):
        def on_save(self, args, state, control, **kwargs) -> None:
            control.should_training_stop = state.global_step == 4

    first = make_trainer(tmp_path, dropout=0.1, dataloader_num_workers=workers)
    attach(first)
    first.add_callback(Stopping())
    first.train()
    second = make_trainer(tmp_path, dropout=0.1, dataloader_num_workers=2 - workers)
    online = attach(second)
    second.train(resume_from_checkpoint=checkpoint if checkpoint is True else str(tmp_path / checkpoint))

    logs, parameters = outcome(second)
    expected_logs, expected_parameters = outcome(trained[0])
    assert logs == expected_logs
    assert all(torch.equal(a, b) for a, b in zip(parameters, expected_parameters, strict=True))
    assert online.mixture.state_dict() == trained[1].mixture.state_dict()


def test_training_again_starts_again(tmp_path) -> None:
    trainer = make_trainer(tmp_path, save_strategy="no", max_steps=2)
    policy = Following()
    online = attach(trainer, policy)
    trainer.train()
    assert online.mixture.steps_done == 2
    trainer.train()
    assert [told[0] for told in online.mixture.policy.told] == [0, 1]
    assert policy.told == []


def test_evaluation_is_the_trainers_own(tmp_path) -> None:
    trainer = make_trainer(tmp_path, save_strategy="no", max_steps=4)
    trainer.args.eval_strategy, trainer.args.eval_steps = "steps", 2
    trainer.eval_dataset = sentences()["low"]
    online = attach(trainer)
    trainer.train()
    assert sum("eval_loss" in entry for entry in trainer.state.log_history) == 2
    assert online.mixture.steps_done == 4


def test_a_loss_function_of_the_users_stays(tmp_path) -> None:
    trainer = make_trainer(tmp_path, save_strategy="no", max_steps=2)
    trainer.compute_loss_func = lambda outputs, labels, num_items_in_batch: outputs.logits.square().mean()
    online = attach(trainer)
    trainer.train()
    expected, _ = by_hand(trainer.model.passes[:2])
    np.testing.assert_allclose(online.mixture.policy.told[0][1], expected, rtol=1e-6)


class TestBadInput:
    def test_epochs_instead_of_steps(self, tmp_path) -> None:
        with pytest.raises(ConfigError, match=r"max_steps=.* found -1"):
            attach(make_trainer(tmp_path, max_steps=-1))

    def test_batch_size_that_is_searched_for(self, tmp_path) -> None:
        with pytest.raises(ConfigError, match=r"auto_find_batch_size .*per_device"):
            attach(make_trainer(tmp_path, auto_find_batch_size=True))

    def test_policy_of_other_domains(self, tmp_path) -> None:
        trainer = make_trainer(tmp_path)
        attach(trainer, Following(2))
        with pytest.raises(ConfigError, match=r"3 domains \(low, middle, high\), found"):
            trainer.train()

    def test_checkpoint_without_or_with_another_policys_state(self, trained, tmp_path) -> None:
        folder = trained[0].args.output_dir
        other = make_trainer(tmp_path)
        attach(other, "odm")
        with pytest.raises(ConfigError, match=r"policy Following, .*Odm"):
            other.train(resume_from_checkpoint=f"{folder}/checkpoint-2")
        plain = make_trainer(tmp_path, max_steps=2)
        plain.train_dataset = sentences()["low"]
        plain.train()
        with pytest.raises(ConfigError, match=rf"checkpoint-2/{STATE_FILE}: cannot be read"):
            other.train(resume_from_checkpoint=True)

    def test_checkpoint_with_another_ones_state(self, trained, tmp_path) -> None:
        first = make_trainer(tmp_path, max_steps=4)
        attach(first)
        first.train()
        (tmp_path / "checkpoint-4" / STATE_FILE).write_text((tmp_path / "checkpoint-2" / STATE_FILE).read_text())
        second = make_trainer(tmp_path)
        attach(second)
        with pytest.raises(ConfigError, match="at step 4, the mixture at 2"):
            second.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))

    def test_loader_that_is_not_ours(self, tmp_path) -> None:
        trainer = make_trainer(tmp_path, save_strategy="no")
        trainer.train_dataset = sentences()["low"]
        theirs = trainer.get_train_dataloader
        online = attach(trainer)
        trainer.get_train_dataloader = lambda: [online.get_train_dataloader(), theirs()][1]
        with pytest.raises(DataError, match="no 'domain_id'"):
            trainer.train()

    def test_model_without_logits(self, tmp_path) -> None:
        class Fused(WatchingForCausalLM):
            def forward(self, input_ids=None, labels=None, **kwargs):
                outputs = super().forward(input_ids=input_ids, labels=labels, **kwargs)
                return CausalLMOutput(loss=outputs.loss)

        trainer = make_trainer(tmp_path, model_class=Fused)
        attach(trainer)
        with pytest.raises(DataError, match=r"no logits .*fused losses"):
            trainer.train()

    def test_collator_that_packs(self, tmp_path) -> None:
        trainer = make_trainer(tmp_path)
        trainer.data_collator = lambda items: {
            key: torch.tensor([[token for item in items for token in item[key]]]) for key in ("input_ids", "labels")
        }
        attach(trainer)
        with pytest.raises(DataError, match="1 rows of 3 items"):
            trainer.train()

    def test_items_without_labels_or_columns(self, tmp_path) -> None:
        trainer = make_trainer(tmp_path)
        attach(trainer, Following(1), {"bare": [{"input_ids": [1, 2, 3]}] * 8})
        with pytest.raises(DataError, match=r"no 'labels'; .*collator"):
            trainer.train()
        attach(trainer, Following(1), {"bare": [[1, 2, 3]] * 8})
        with pytest.raises(DataError, match="mappings of columns, found list"):
            trainer.train()


def test_a_policy_by_name_trains(tmp_path) -> None:
    trainer = make_trainer(tmp_path, save_strategy="steps", save_steps=3)
    online = attach(trainer, "odm")
    trainer.train()
    assert isinstance(online.mixture.policy, Odm)
    saved = json.loads((tmp_path / "checkpoint-6" / STATE_FILE).read_text())
    assert saved == json.loads(json.dumps(online.mixture.state_dict()))
