"""OnlineCallback: a mixture policy in Hugging Face's `Trainer`.

    trainer = Trainer(model=model, args=args)                                  # as before, with max_steps
    OnlineCallback({"web": web, "code": code}, policy="ado").attach(trainer)
    trainer.train()

The losses are those of the forward pass that trains: `compute_loss` is asked for the model's outputs too, and each
sequence's loss is read off its logits. The training loss itself, and so the gradient, stays the trainer's.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.loss.loss_utils import ForMaskedLMLoss
from transformers.trainer_utils import get_last_checkpoint

from mixopt.errors import ConfigError, DataError
from mixopt.files import write_atomic
from mixopt.online.controller import OnlineMixture, StepLosses
from mixopt.online.shared_losses import IGNORED, sequence_losses
from mixopt.online.stream import DOMAIN_KEY

if TYPE_CHECKING:
    from torch import Tensor

    from mixopt.mixture import Mixture
    from mixopt.policy import MixturePolicy


class DomainCollator:
    """The user's collator, with the domain ids led around it. Pickles to workers if the user's does.

    Args:
        collate: makes a batch of items.
    """

    def __init__(self, collate: Callable[[list[dict[str, Any]]], Any]) -> None:
        self._collate = collate

    def __call__(self, items: list[Any]) -> Any:
        """The user's batch, and (B,) domain ids under `domain_id`.

        Raises:
            DataError: items that are no mappings, or a batch that has not one row for each.
        """
        if not isinstance(items[0], dict):
            kind = type(items[0][0]).__name__
            raise DataError(f"online: expected datasets whose items are mappings of columns, found {kind}")
        domain_ids = torch.tensor([item[DOMAIN_KEY] for item in items])
        batch = self._collate([{k: v for k, v in item.items() if k != DOMAIN_KEY} for item in items])
        labels = batch.get("labels")
        if labels is not None and len(labels) != len(items):
            raise DataError(
                f"online: the collator made {len(labels)} rows of {len(items)} items; one that packs items "
                "(padding-free, packing) hides their domains: pack before, each row of one domain"
            )
        batch[DOMAIN_KEY] = domain_ids
        return batch


class StepAverages:
    """Mixture and losses of the steps since the last log.

    Args:
        domains: K names.
    """

    def __init__(self, domains: Sequence[str]) -> None:
        self._domains = domains
        self.reset()

    def reset(self) -> None:
        """Forget all steps."""
        self._loss_sums, self._tokens = np.zeros(len(self._domains)), np.zeros(len(self._domains))
        self._weights: np.ndarray | None = None

    def add(self, losses: StepLosses) -> None:
        """Take a step in."""
        self._loss_sums += np.where(losses.tokens > 0, losses.losses * losses.tokens, 0.0)
        self._tokens += losses.tokens
        self._weights = losses.weights

    def take(self) -> dict[str, float]:
        """`mixture/DOMAIN` of the last step and `loss/DOMAIN` over all steps since, where there were tokens."""
        if self._weights is None:
            return {}
        values = {f"mixture/{name}": float(w) for name, w in zip(self._domains, self._weights, strict=True)}
        for name, loss, tokens in zip(self._domains, self._loss_sums, self._tokens, strict=True):
            if tokens > 0:
                values[f"loss/{name}"] = float(loss / tokens)
        self.reset()
        return values


STATE_FILE = "mixopt_online.json"


class OnlineCallback(TrainerCallback):
    """Trains a `Trainer`'s model on a mixture that a policy adapts.

    Batch size, gradient accumulation, processes, steps, workers and seed are the training arguments'. The trainer's
    collator gets the items as the datasets give them, less the columns that the model does not take.

    Args:
        datasets: K datasets with a length and items (mappings) by index, by domain: `datasets.Dataset`s, say.
        policy: a name (`mixopt.policy.POLICIES`), a `module:Class`, or a policy of K domains, which is copied for
            each training.
        prior: the mixture that a policy given by name starts from; by default the domains' shares of all items.
        options: of a policy given by name.
    """

    mixture: OnlineMixture  # the `OnlineMixture` of the present or last training

    def __init__(
        self,
        datasets: Mapping[str, Any],
        policy: str | MixturePolicy = "ado",
        *,
        prior: Mixture | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self._datasets, self._policy, self._prior, self._options = datasets, policy, prior, options
        self._checkpoint: Path | None = None
        self._averages = StepAverages(tuple(datasets))

    def attach(self, trainer: Trainer) -> OnlineCallback:
        """Have `trainer` train on the mixture.

        Raises:
            ConfigError: the training arguments do not allow it.
        """
        _check_arguments(trainer.args)
        self._trainer = trainer
        self._losses_of, self._train, self._log = trainer.compute_loss, trainer.train, trainer.log
        # The four methods that the documentation of `Trainer` names for being overridden, on this one trainer: a
        # subclass would be the user's to merge with SFTTrainer and the like.
        trainer.get_train_dataloader = self.get_train_dataloader
        trainer.compute_loss = self.compute_loss  # type: ignore[method-assign]
        trainer.train = self.train
        trainer.log = self.log
        trainer.add_callback(self)
        return self

    def train(
        self, resume_from_checkpoint: str | bool | None = None, trial: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """`Trainer.train`, which does not tell its callbacks what checkpoint it resumes from."""
        if trial is not None:
            raise ConfigError("online: hyperparameter_search is not supported; train each trial with its own Trainer")
        arguments = self._trainer.args
        if resume_from_checkpoint is True:
            resume_from_checkpoint = get_last_checkpoint(str(arguments.output_dir)) or True
        resumes = isinstance(resume_from_checkpoint, str | Path)
        self._checkpoint = Path(resume_from_checkpoint) if resumes else None
        # The stream goes on where the checkpoint's training stood: there is nothing to skip.
        skip, arguments.ignore_data_skip = arguments.ignore_data_skip, True
        try:
            return self._train(resume_from_checkpoint, trial, *args, **kwargs)
        finally:
            arguments.ignore_data_skip = skip
            if hasattr(self, "mixture"):
                self.mixture.close()

    def get_train_dataloader(self) -> DataLoader:
        """A loader of this process's share of the mixture, from the first step or from the checkpoint's.

        Raises:
            ConfigError: parallelism other than over data; a checkpoint without a state, or with another policy's.
        """
        trainer, args = self._trainer, self._trainer.args
        self.mixture = OnlineMixture(
            self._datasets,
            copy.deepcopy(self._policy),
            batch_size=args.train_batch_size,
            accumulate=args.gradient_accumulation_steps,
            steps=args.max_steps,
            prior=self._prior,
            options=self._options,
            seed=args.seed if args.data_seed is None else args.data_seed,
        )
        self._averages.reset()
        ours, theirs = self.mixture.sequences_per_step, trainer.get_total_train_batch_size(args)
        if ours != theirs:
            raise ConfigError(
                f"online: expected one share of the data for each process ({ours} sequences a step), found "
                f"{theirs}; tensor, context and sequence parallelism are not supported"
            )
        if self._checkpoint is not None:
            self.mixture.load_state_dict(_read_state(self._checkpoint))
        # Not `accelerator.prepare`d: the stream is this process's share already, and the trainer moves the batches.
        return DataLoader(
            self.mixture.dataset,
            batch_size=args.train_batch_size,
            collate_fn=DomainCollator(trainer._get_collator_with_removed_columns(trainer.data_collator)),
            num_workers=args.dataloader_num_workers,
            prefetch_factor=args.dataloader_prefetch_factor,
            persistent_workers=args.dataloader_persistent_workers,
            pin_memory=args.dataloader_pin_memory,
            # Of its own, so that resuming draws nothing from the generator that dropout uses.
            generator=torch.Generator().manual_seed(args.seed),
        )

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Any], return_outputs: bool = False, **kwargs: Any
    ) -> Any:
        """The trainer's loss; on the way, the losses by domain of a training batch.

        Raises:
            DataError: a training batch without domain ids, or without logits to tell the losses from.
        """
        domain_ids = inputs.pop(DOMAIN_KEY, None)
        if not model.training:
            return self._losses_of(model, inputs, return_outputs=return_outputs, **kwargs)
        if domain_ids is None:
            raise DataError(
                f"online: a training batch has no {DOMAIN_KEY!r}; leave the trainer's get_train_dataloader to the "
                "mixture, and attach it last"
            )
        targets = self._targets(inputs)  # before the trainer takes the labels out
        loss, outputs = self._losses_of(model, inputs, return_outputs=True, **kwargs)
        with torch.no_grad():
            sums, tokens = sequence_losses(_logits(outputs), targets)
        self.mixture.observe(sums, tokens, domain_ids)
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """`Trainer.log`, with the mixture and the losses by domain beside each training loss."""
        extra = self._averages.take() if "loss" in logs else {}
        self._log({**logs, **extra}, *args, **kwargs)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Check that trainer and mixture are at the same step.

        Raises:
            ConfigError: they are not.
        """
        if state.global_step != self.mixture.steps_done:
            raise ConfigError(
                f"online: the trainer resumes at step {state.global_step}, the mixture at "
                f"{self.mixture.steps_done}; the checkpoint's {STATE_FILE} is another checkpoint's"
            )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Tell the policy the step's losses."""
        self._averages.add(self.mixture.step())
        # Without skipping, the trainer would count epochs from the resumption.
        state.epoch = state.global_step / state.max_steps

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Put the state into the checkpoint's folder."""
        if state.is_world_process_zero:
            folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
            write_atomic(folder / STATE_FILE, json.dumps(self.mixture.state_dict()))

    def _targets(self, inputs: Mapping[str, Any]) -> Tensor:
        """(B, T) targets of the logits, as the model's own loss takes them."""
        if "shift_labels" in inputs:
            return inputs["shift_labels"]
        labels = inputs.get("labels")
        if labels is None:
            raise DataError("online: a training batch has no 'labels'; use a collator that makes them")
        model = self._trainer.accelerator.unwrap_model(self._trainer.model)
        encoder_decoder = getattr(getattr(model, "config", None), "is_encoder_decoder", False)
        if encoder_decoder or getattr(model, "loss_function", None) is ForMaskedLMLoss:
            return labels
        return torch.nn.functional.pad(labels, (0, 1), value=IGNORED)[:, 1:]


def _logits(outputs: Any) -> Tensor:
    logits = outputs.get("logits") if isinstance(outputs, dict) else outputs[1]
    if logits is None:
        raise DataError(
            "online: the model's outputs have no logits to tell each sequence's loss from; turn off fused losses "
            "(use_liger_kernel)"
        )
    return logits


def _check_arguments(args: TrainingArguments) -> None:
    if args.max_steps <= 0:
        raise ConfigError(
            f"online: expected TrainingArguments(max_steps=...) above 0, found {args.max_steps}; a mixture that "
            "changes has no epochs"
        )
    if args.auto_find_batch_size:
        raise ConfigError("online: auto_find_batch_size is not supported; set per_device_train_batch_size")


def _read_state(checkpoint: Path) -> dict[str, Any]:
    path = checkpoint / STATE_FILE
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"online: {path}: cannot be read ({error}); the checkpoint was not saved with an online mixture, or "
            "saving was cut off: resume from an earlier one"
        ) from error
