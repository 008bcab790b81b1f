"""A validated config and the prepared data that it names, resolved to run specs: what a `Study` is built on."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mixopt.data.tokenizer import Vocabulary
from mixopt.errors import ConfigError
from mixopt.methods.registry import method_named
from mixopt.mixture import Mixture
from mixopt.objective import Objective, parse_objective
from mixopt.presets import model_spec, suited
from mixopt.spec import DataSpec, EvalSpec, OptimSpec, PolicySpec, RunSpec, whole_batches
from mixopt.study.config import StudyConfig
from mixopt.study.expected import is_prepared, load_or_expect
from mixopt.trackers import Trackers
from mixopt.train.device import Runtime
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.data.manifest import Manifest
    from mixopt.evaluation import EvalTask
    from mixopt.execute.base import Executor
    from mixopt.methods.base import Role
    from mixopt.methods.method import Method
    from mixopt.model_spec import ModelSpec, Prediction


class Setup:
    """What to train, on what data, where; see `mixopt.study.study.Study` for the arguments."""

    def __init__(
        self,
        data: str | Path = "data",
        *,
        model: str | dict[str, Any] = "gpt2-0.4m",
        tokens: str | int | None = None,
        results: str | Path = "results",
        **sections: Any,
    ) -> None:
        content = {"data": str(data), "model": model, "results": str(results), **sections}
        self.config = StudyConfig.build(content, "study", {"training.tokens": tokens})

    @classmethod
    def of(cls, config: StudyConfig) -> Self:
        """The study of a config."""
        study = cls.__new__(cls)
        study.config = config
        return study

    @cached_property
    def manifest(self) -> Manifest:
        """What the data folder holds, or with `data.expected` what it is going to hold.

        Raises:
            DataError: it holds no prepared data.
        """
        return load_or_expect(self.config.data, self.config.model.vocab_size)

    @cached_property
    def domains(self) -> tuple[str, ...]:
        """K training domains, in the order of every (K,) array: those of the data that are not `data.eval_only`.

        Raises:
            ConfigError: the data has no such domain, or none is left to train on.
        """
        names, only = self.manifest.domain_names, self.config.data.eval_only
        unknown = [name for name in only if name not in names]
        if unknown:
            raise ConfigError(f"data.eval_only: unknown domain {unknown[0]!r}; the data has {', '.join(names)}")
        trained = tuple(name for name in names if name not in only)
        if not trained:
            raise ConfigError("data.eval_only: it names every domain of the data, which leaves none to train on")
        return trained

    @property
    def corpus(self) -> dict[str, int]:
        """Training tokens that there are of each training domain, limits left aside."""
        tokens = self.manifest.tokens
        return {name: tokens[name] for name in self.domains}

    @property
    def natural(self) -> Mixture:
        """The natural mixture: each training domain's share of their training tokens."""
        return Mixture.normalised(self.corpus)

    @cached_property
    def model(self) -> ModelSpec:
        """The model's dimensions.

        Raises:
            ConfigError: an unknown preset, fields that do not go together, or a vocabulary below the tokenizer's.
        """
        given = self.config.model.model_dump(exclude_none=True)
        preset, vocab = given.pop("preset"), given.pop("vocab_size", self.manifest.vocab_size)
        model = model_spec(preset, vocab, **given)
        return replace(model, vocab_size=self._vocabulary_rows(model))

    def _vocabulary_rows(self, model: ModelSpec) -> int:
        """Rows of the embedding: as the config asks, else what the tokenizer needs, with its mask token."""
        least, what = self.manifest.vocab_size, ""
        if model.predicts == "masked" and is_prepared(self.config.data.dir):
            least, what = Vocabulary.of_data(self.config.data.dir, self.manifest).rows, " and its mask token"
        asked = self.config.model.vocab_size
        if asked is not None and asked < least:
            raise ConfigError(
                f"model.vocab_size: {asked} is below the {least} of the tokenizer that the data was prepared with"
                f"{what}; leave it out"
            )
        return asked or least

    @cached_property
    def sequence_length(self) -> int:
        """Tokens of one training sequence."""
        return self.config.training.sequence_length or self.model.context

    @cached_property
    def optim(self) -> OptimSpec:
        """Optimiser and batch; what the config leaves open suits the model's size."""
        given = self.config.training.model_dump(
            exclude={"tokens", "sequence_length", "max_epochs", "whole_word"}, exclude_none=True
        )
        lr, batch = suited(self.model.parameters)
        length = self.sequence_length
        return OptimSpec(**{"lr": lr, "batch_tokens": max(1, batch // length) * length, **given})

    @cached_property
    def evaluation(self) -> EvalSpec:
        """What is measured in every proxy run."""
        only = tuple(name for name in self.manifest.domain_names if name not in self.domains)
        return EvalSpec(**self.config.evaluation.model_dump(exclude={"tasks", "task_limit"}), only=only)

    @cached_property
    def tasks(self) -> tuple[EvalTask, ...]:
        """The downstream tasks that every trained model is evaluated on."""
        return self.tasks_of(self.model.predicts)

    def tasks_of(self, predicts: Prediction) -> tuple[EvalTask, ...]:
        """The tasks that the config names, for models that predict every token, or masked ones.

        Raises:
            MixoptError: there is no such task, or it is none for this kind of model.
        """
        asked = self.config.evaluation
        if not asked.tasks:
            return ()
        from mixopt.evaluate.tasks import resolve

        folder = Path(self.config.data.dir)
        return tuple(resolve(asked.tasks, predicts, data_dir=folder, limit=asked.task_limit))

    @cached_property
    def tokens(self) -> int:
        """Tokens of the base run, in whole batches."""
        return whole_batches(self.config.training.tokens, self.optim.batch_tokens)

    @cached_property
    def objective(self) -> Objective:
        """What is minimised; a file of weights is read once.

        Raises:
            ConfigError: no objective, or no mixture in the file.
        """
        return parse_objective(self.config.method.objective)

    @property
    def method(self) -> Method[Any]:
        """The search method that the config names."""
        return method_named(self.config.method.name)

    def sized(self, preset: str | None) -> Self:
        """The same study with another preset (None: its own); what the config leaves open then suits that size.

        Fields that the config changes are those of its own preset, and do not carry over.
        """
        own = self.config.model
        if preset is None or preset == own.preset:
            return self
        section = own.__class__(preset=preset, vocab_size=own.vocab_size)
        return self.of(self.config.model_copy(update={"model": section}))

    @property
    def available(self) -> dict[str, int]:
        """Distinct training tokens by domain, limits applied.

        Raises:
            ConfigError: a limit names a domain that the data does not have.
        """
        limits = self.config.data.unique_tokens or {}
        unknown = [name for name in limits if name not in self.domains]
        if unknown:
            raise ConfigError(
                f"data.unique_tokens: unknown domain {unknown[0]!r}; the data has {', '.join(self.domains)}"
            )
        return {name: min(tokens, limits.get(name, tokens)) for name, tokens in self.corpus.items()}

    def spec(self, mixture: Mixture, tokens: int, seed: int) -> RunSpec:
        """The run that trains on `mixture` for about `tokens`."""
        return RunSpec(
            model=self.model,
            data=DataSpec(
                fingerprint=self.manifest.fingerprint, domains=self.domains, unique_tokens=self._unique_tokens()
            ),
            policy=PolicySpec(weights=mixture.ordered(self.domains).weights),
            optim=self.optim,
            evaluation=self.evaluation,
            tokens=whole_batches(tokens, self.optim.batch_tokens),
            sequence_length=self.sequence_length,
            seed=seed,
            objective=self.model.predicts,
            whole_word=self._masks_whole_words(),
        )

    def _masks_whole_words(self) -> bool:
        """`training.whole_word`, once model and tokenizer are known to go along with it."""
        asked = self.config.training.whole_word
        if asked and self.model.predicts != "masked":
            raise ConfigError(
                "training.whole_word: only masked models (bert-…) have masks, found " + self.config.model.preset
            )
        if asked and is_prepared(self.config.data.dir):
            Vocabulary.of_data(self.config.data.dir, self.manifest).word_bounds()
        return asked

    def _unique_tokens(self) -> tuple[int | None, ...] | None:
        limits, have = self.config.data.unique_tokens, self.available
        return tuple(limits.get(name) for name in have) if limits else None

    def distinct(self, spec: RunSpec) -> dict[str, int]:
        """Distinct training tokens of each domain that a run may see."""
        limits = dict(zip(self.domains, spec.data.unique_tokens or (), strict=False))
        return {name: min(tokens, limits.get(name) or tokens) for name, tokens in self.corpus.items()}

    def epochs(self, spec: RunSpec) -> dict[str, float]:
        """Passes over each domain's distinct tokens in a run."""
        wanted = dict(zip(self.domains, spec.mixture.counts(spec.tokens).tolist(), strict=True))
        return {domain: wanted[domain] / have for domain, have in self.distinct(spec).items()}

    def check_epochs(self, spec: RunSpec, role: Role | str) -> None:
        """Refuse a run on a domain of less than one sequence, or that repeats a domain more often than allowed.

        Raises:
            ConfigError: it does; the message says how often.
        """
        distinct = self.distinct(spec)
        for name, have in distinct.items():
            if have <= self.sequence_length:
                raise ConfigError(
                    f"domain {name!r}: expected at least a sequence ({self.sequence_length + 1} training tokens), "
                    f"found {have}; give it more text, shorten training.sequence_length, or leave it out"
                )
        domain, epochs = max(self.epochs(spec).items(), key=lambda item: item[1])
        cap = self.config.training.max_epochs
        have = distinct[domain]
        # A recommendation at its cap may be a token over it: runs hold whole tokens.
        if epochs * have > cap * have + 1:
            raise ConfigError(
                f"run `{role}` asks for {format_count(epochs * have)} tokens of {domain!r}, {epochs:.3g} epochs of "
                f"the {format_count(have)} that there are, and the cap is {cap:g}: use fewer --tokens, or allow it "
                f"with --max-epochs {epochs + 0.05:.1f}"
            )

    def checkpoint_dir(self, run_id: str) -> Path:
        """Where a run keeps its checkpoints until it has finished."""
        return Path(self.config.results).absolute() / "checkpoints" / run_id

    def runtime(self, run_id: str, reference: str | None = None) -> Runtime:
        """Where and how a run is trained; `reference` is the run that it is held against."""
        executor = self.config.executor
        return Runtime(
            data_dir=str(Path(self.config.data.dir).absolute()),
            checkpoint_dir=str(self.checkpoint_dir(run_id)),
            reference_dir=str(self.checkpoint_dir(reference) / "final") if reference else None,
            device=executor.own_device,
            threads=executor.cpus_per_run,
            precision=executor.precision,
            compile=executor.compile,
            micro_batch=executor.micro_batch,
            sharding=executor.sharding,
            checkpoint_seconds=executor.checkpoint_seconds,
        )

    def executor(self) -> Executor:
        """The executor that the config asks for; nothing is started yet."""
        return self.config.executor.open()

    def trackers(self) -> Trackers:
        """The experiment trackers that the config asks for.

        Raises:
            ConfigError: the library of one is not installed.
        """
        chosen = self.config.tracking
        folder = Path(chosen.dir or Path(self.config.results) / "tracking")
        return Trackers.open(chosen.to, chosen.project, folder)
