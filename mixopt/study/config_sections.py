"""The sections of a study file: what may stand in each, and the defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mixopt.errors import ConfigError
from mixopt.evaluation import EvalRuntime
from mixopt.fields import Count, Domains, Names, Section, names
from mixopt.model_spec import FAMILIES
from mixopt.policy import POLICIES
from mixopt.spec import EvalSpec, OptimSpec
from mixopt.trackers import TRACKERS

if TYPE_CHECKING:
    from mixopt.execute.base import Executor
    from mixopt.plugins import Registry


def _of(registry: Registry[Any]) -> AfterValidator:
    """Names of a registry, or paths; what these lead to is imported when it is used."""

    def check(value: str) -> str:
        try:
            registry.check(value)
        except ConfigError as error:
            raise ValueError(str(error).partition(": ")[2]) from error
        return value

    return AfterValidator(check)


class DataSection(Section):
    """Which prepared data, and how much of it.

    `unique_tokens` limits the distinct training tokens of a domain, so that proxies repeat it as often as the final
    training will (see `mixopt.spec.DataSpec`); the domains in `eval_only` are measured and never trained on.
    `expected` says how many tokens of each domain the folder is going to hold: plans rest on it until it does.
    """

    dir: str = "data"
    unique_tokens: dict[str, Count] | None = None
    eval_only: Domains = ()
    expected: dict[str, Count] | None = Field(default=None, min_length=1)


class ModelSection(Section):
    """A preset and what differs from it (see `mixopt.model_spec.ModelSpec`)."""

    preset: str = "gpt2-0.4m"
    family: Annotated[str, _of(FAMILIES)] | None = None
    context: int | None = None
    width: int | None = None
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    ffn_width: int | None = None
    tied_embeddings: bool | None = None
    init_std: float | None = None
    vocab_size: int | None = None


class TrainingSection(Section):
    """How each proxy is trained (see `mixopt.spec.OptimSpec`); None for what suits the model's size.

    `whole_word` is for masked models: all tokens of a word are masked or none.
    """

    tokens: Count = 800_000
    sequence_length: int | None = Field(default=None, ge=2)
    batch_tokens: Count | None = None
    lr: float | None = None
    schedule: Literal["linear", "cosine"] = OptimSpec.schedule
    warmup: float = OptimSpec.warmup
    final_lr: float = OptimSpec.final_lr
    beta1: float = OptimSpec.beta1
    beta2: float = OptimSpec.beta2
    epsilon: float = OptimSpec.epsilon
    weight_decay: float = OptimSpec.weight_decay
    grad_clip: float = OptimSpec.grad_clip
    whole_word: bool = False
    # Muennighoff et al. 2023 (data-constrained scaling): up to 4 epochs are nearly as good as new text.
    max_epochs: float = Field(default=4.0, gt=0)


class EvaluationSection(Section):
    """What is measured (see `mixopt.spec.EvalSpec`).

    Sized so that a small proxy (800k tokens, seven domains) spends 7 % of its time on it; every run of a study is
    measured on the same validation tokens, so differences are far more exact than each loss.
    `tasks` are downstream tasks that every trained model is evaluated on, named as `mixopt eval --tasks` has them,
    on at most `task_limit` items of each. They change no run, and a run's identity knows nothing of them.
    """

    tokens_per_domain: Count = EvalSpec.tokens_per_domain
    points: int = EvalSpec.points
    point_tokens_per_domain: Count = EvalSpec.point_tokens_per_domain
    tasks: Names = ()
    task_limit: int | None = Field(default=None, ge=1)


class PolicySection(Section):
    """The policy that `mixopt ado-train` trains with (see `mixopt.policy`), its prior mixture and its options."""

    name: Annotated[str, _of(POLICIES)] = "ado"
    prior: str = "natural"
    options: dict[str, float | int | bool | str] = Field(default_factory=dict)


class ExecutorSection(Section):
    """Where runs are trained; nothing here changes what they measure.

    `gpu` and `mfu` are for `--dry-run` alone: with a name of `mixopt.study.expected.PEAK_TFLOPS` it counts GPU
    hours from FLOPs, at that share of the peak, in place of timing this machine.
    """

    kind: Literal["ray", "inline"] = "ray"
    ray_address: str | None = None
    cpus_per_run: int = Field(default=1, ge=1)
    gpus_per_run: float | None = Field(default=None, ge=0)
    processes_per_run: int = Field(default=1, ge=1)
    sharding: Literal["none", "fsdp"] = "none"
    workers: int | None = Field(default=None, ge=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    micro_batch: int | None = Field(default=None, ge=1)
    checkpoint_seconds: float = Field(default=60.0, gt=0)
    keep_checkpoints: bool = False
    gpu: str | None = None
    mfu: float = Field(default=0.4, gt=0, le=1)

    @model_validator(mode="after")
    def _processes_need_ray(self) -> Self:
        if self.kind == "inline" and self.processes_per_run > 1:
            raise ValueError(
                f"processes_per_run: the inline executor trains in one process, found {self.processes_per_run}; "
                "use `kind: ray`"
            )
        return self

    @property
    def own_device(self) -> Literal["auto", "cpu", "cuda"]:
        """The device of what is done in this process; Ray hands out GPUs itself."""
        if self.kind == "inline" and self.gpus_per_run is not None:
            return "cuda" if self.gpus_per_run else "cpu"
        return self.device

    @property
    def evaluations(self) -> EvalRuntime:
        """Where and how models are evaluated that are there already."""
        return EvalRuntime(device=self.own_device, threads=self.cpus_per_run, precision=self.precision)

    def open(self) -> Executor:
        """Where runs are trained and models evaluated; nothing is started yet."""
        if self.kind == "inline":
            from mixopt.execute.inline import InlineExecutor

            return InlineExecutor()
        from mixopt.execute.ray_pool import RayExecutor

        return RayExecutor(
            address=self.ray_address,
            cpus_per_run=self.cpus_per_run,
            gpus_per_run=self.gpus_per_run,
            processes_per_run=self.processes_per_run,
            device=self.device,
            workers=self.workers,
        )


class TrackingSection(Section):
    """Experiment trackers that are told of every recorded run (see `mixopt.trackers`); they change no number."""

    to: Annotated[tuple[Annotated[str, _of(TRACKERS)], ...], BeforeValidator(names)] = ()
    project: str = Field(default="mixopt", min_length=1)
    dir: str | None = None
