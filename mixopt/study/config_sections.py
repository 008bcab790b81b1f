"""The sections of a study file: what may stand in each, and the defaults."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mixopt.errors import ConfigError
from mixopt.model_spec import FAMILIES
from mixopt.spec import EvalSpec, OptimSpec
from mixopt.trackers import TRACKERS
from mixopt.units import parse_count

if TYPE_CHECKING:
    from mixopt.plugins import Registry


def _count(value: object) -> int:
    try:
        return parse_count(value if isinstance(value, (int, float)) else str(value), "it")
    except ConfigError as error:
        raise ValueError(str(error).removeprefix("it: ")) from error


def _factors(value: object) -> tuple[float, ...]:
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, Sequence) else [value]
    try:
        return tuple(float(Fraction(str(part).strip())) for part in parts)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"expected numbers such as 1/3, 3, found {value!r}") from error


def _counts(value: object) -> tuple[int, ...]:
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, Sequence) else [value]
    return tuple(_count(part) for part in parts)


def _multiple(value: object) -> object:
    # `20T`, `3x` and 3: multiples of a run at the target.
    return value.strip().rstrip("xXT") if isinstance(value, str) else value


def _names(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _domains(value: object) -> object:
    # One name is a name: a domain's may hold commas, so that text is not split at them.
    return [value] if isinstance(value, str) else value


def _of(registry: Registry[Any]) -> AfterValidator:
    """Names of a registry, or paths; what these lead to is imported when it is used."""

    def check(value: str) -> str:
        try:
            registry.check(value)
        except ConfigError as error:
            raise ValueError(str(error).partition(": ")[2]) from error
        return value

    return AfterValidator(check)


Count = Annotated[int, BeforeValidator(_count)]
Counts = Annotated[tuple[int, ...], BeforeValidator(_counts)]
Factors = Annotated[tuple[float, ...], BeforeValidator(_factors)]
Numbers = Annotated[tuple[float, float], BeforeValidator(_factors)]


class Section(BaseModel):
    """A part of a study file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    # `data: FOLDER` for `data: {dir: FOLDER}`, and so on: the section's first field.
    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {next(iter(cls.model_fields)): value} if isinstance(value, str) else value


class DataSection(Section):
    """Which prepared data, and how much of it.

    `unique_tokens` limits the distinct training tokens of a domain, so that proxies repeat it as often as the final
    training will (see `mixopt.spec.DataSpec`); the domains in `eval_only` are measured and never trained on.
    `expected` says how many tokens of each domain the folder is going to hold: plans rest on it until it does.
    """

    dir: str = "data"
    unique_tokens: dict[str, Count] | None = None
    eval_only: Annotated[tuple[str, ...], BeforeValidator(_domains)] = ()
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
    tasks: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    task_limit: int | None = Field(default=None, ge=1)


class MethodSection(Section):
    """The search method and its settings (see `mixopt.methods`).

    `scales`, `predictor` and `match_epochs` are autoscale's; `target_tokens` is what it predicts.
    `eta`, `smoothing`, `sampling` and `rounds` are DoReMi's (see `mixopt.study.doremi`).
    `fit` is DDO's: a law of each domain's own runs, or one of all runs (`mixopt.methods.ddo.joint_searcher`).
    From `runs` on they are those of one-shot searches (see `mixopt.methods.swarm`);
    their names are those of the regressors, besides `grid`, `random` and `auto`.
    From `sizes` on they are those of sequential searches (see `mixopt.methods.adso`), which take `scales` too.
    """

    name: Literal[
        "ddo", "autoscale", "doremi", "grid", "random", "regmix", "mixing-law", "loglinear", "gp", "auto", "adso",
        "tokens-only", "single-fidelity",
    ] = "ddo"  # fmt: skip
    factors: Factors = (1 / 3, 3.0)
    perturb: Literal["add", "replace"] = "add"
    objective: str = "mean_ppl"
    preset: str = "default"
    seeds: int = Field(default=1, ge=1, le=1000)
    reference: str = "uniform"
    floor: float | str | None = None
    verify_seeds: int = Field(default=3, ge=1, le=1000)
    target_tokens: Count | None = None
    fit: Literal["lines", "joint"] = "lines"
    scales: Counts | None = None
    predictor: Literal["auto", "geometric", "joint"] = "auto"
    match_epochs: bool = False
    eta: float = Field(default=1.0, gt=0)
    smoothing: float = Field(default=1e-3, ge=0, lt=1)
    sampling: str = "uniform"
    rounds: int | None = Field(default=None, ge=1, le=100)
    runs: int | None = Field(default=None, ge=1, le=100_000)
    design: Literal["dirichlet", "two-level", "sobol", "lattice"] | None = None
    strengths: Numbers = (0.1, 5.0)
    temperature: float = Field(default=0.5, ge=0, le=1)
    step: float | None = None
    groups: dict[str, tuple[str, ...]] | None = None
    regressor: str | None = None
    kl: float = Field(default=0.0, ge=0)
    pareto: Annotated[tuple[str, str] | None, BeforeValidator(_names)] = None
    extend: str | None = None
    confirm: int = Field(default=0, ge=0, le=10_000)
    sizes: Annotated[tuple[str, ...] | None, BeforeValidator(_names)] = None
    budget: Annotated[float, BeforeValidator(_multiple)] = Field(default=10.0, ge=1)
    batch: int = Field(default=1, ge=1)
    guard: float = Field(default=0.5, gt=0)
    tolerance: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        value = {"name": value} if isinstance(value, str) else value
        if not isinstance(value, dict) or value.get("reference") is not None:
            return value
        # DoReMi starts from the corpus as it is, the others from equal shares.
        return {**value, "reference": "natural" if value.get("name") == "doremi" else "uniform"}


class PolicySection(Section):
    """The policy that `mixopt ado-train` trains with (see `mixopt.policy`), its prior mixture and its options."""

    name: str = "ado"
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


class TrackingSection(Section):
    """Experiment trackers that are told of every recorded run (see `mixopt.trackers`); they change no number."""

    to: Annotated[tuple[Annotated[str, _of(TRACKERS)], ...], BeforeValidator(_names)] = ()
    project: str = Field(default="mixopt", min_length=1)
    dir: str | None = None
