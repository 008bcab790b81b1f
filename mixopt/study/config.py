"""The study file: its sections and their defaults, read with flags over it, and one clear line for each mistake."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny, ValidationError, model_validator

from mixopt.errors import ConfigError
from mixopt.evaluation import EvalRuntime
from mixopt.fields import Count, Domains, Names, Section, names
from mixopt.methods.method import MethodSettings, option
from mixopt.methods.registry import method_named, owners
from mixopt.model_spec import FAMILIES
from mixopt.policy import POLICIES
from mixopt.spec import EvalSpec, OptimSpec
from mixopt.trackers import TRACKERS

if TYPE_CHECKING:
    from mixopt.execute.base import Executor
    from mixopt.plugins import Registry

DEFAULT_METHOD = "ddo"


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
    training will (see `mixopt.spec.DataSpec`).
    """

    dir: str = option("folder that `mixopt data prepare` made", "data")
    unique_tokens: dict[str, Count] | None = option(
        "{DOMAIN: 2M}: proxies see no more distinct tokens of it, and repeat them"
    )
    eval_only: Domains = option("domains that are measured and not trained on", ())
    expected: dict[str, Count] | None = option(
        "{DOMAIN: 10B}: what --dry-run counts with until the folder is there", min_length=1
    )


class ModelSection(Section):
    """A preset and what differs from it (see `mixopt.model_spec.ModelSpec`)."""

    preset: str = option("gpt2-0.2m … gpt2-774m, llama-0.4m … llama-1.3b, bert-nano … bert-base", "gpt2-0.4m")
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
    """How each proxy is trained (see `mixopt.spec.OptimSpec`); None for what suits the model's size."""

    tokens: Count = option("of the base run", 800_000, example="800k")
    sequence_length: int | None = option("null: the model's context", ge=2)
    batch_tokens: Count | None = option("tokens of one optimiser step; null: by model size")
    lr: float | None = option("peak learning rate; null: by model size")
    schedule: Literal["linear", "cosine"] = option(
        "cosine or linear, to final_lr over the run's own tokens", OptimSpec.schedule
    )
    warmup: float = option("share of the run's tokens", OptimSpec.warmup)
    final_lr: float = option("share of the peak", OptimSpec.final_lr)
    beta1: float = option("of AdamW, as what follows", OptimSpec.beta1)
    beta2: float = option("", OptimSpec.beta2)
    epsilon: float = option("", OptimSpec.epsilon, example="1.0e-8")
    weight_decay: float = option("", OptimSpec.weight_decay)
    grad_clip: float = option("0: none", OptimSpec.grad_clip)
    whole_word: bool = option("masked models (bert-…): mask all tokens of a word or none", False)
    # Muennighoff et al. 2023 (data-constrained scaling): up to 4 epochs are nearly as good as new text.
    max_epochs: float = option("no run, and no recommendation, repeats a domain more often", 4.0, gt=0)


class EvaluationSection(Section):
    """What is measured (see `mixopt.spec.EvalSpec`).

    Sized so that a small proxy (800k tokens, seven domains) spends 7 % of its time on it; every run of a study is
    measured on the same validation tokens, so differences are far more exact than each loss.
    `tasks` are named as `mixopt eval --tasks` has them. They change no run, nor its identity.
    """

    tokens_per_domain: Count = option("validation tokens behind a final loss", EvalSpec.tokens_per_domain)
    points: int = option("evaluations in a run, the last one included", EvalSpec.points)
    point_tokens_per_domain: Count = option("validation tokens of the others", EvalSpec.point_tokens_per_domain)
    tasks: Names = option("downstream tasks of every trained model, such as [offline]; docs/evaluation.md", ())
    task_limit: int | None = option("most items of each task", ge=1)


class PolicySection(Section):
    """The policy that `mixopt ado-train` trains with (see `mixopt.policy`), its prior mixture and its options."""

    name: Annotated[str, _of(POLICIES)] = option(
        "of `mixopt ado-train`, whose --help lists them; or module:Class", "ado"
    )
    prior: str = option("uniform, natural, a YAML file of weights or a published name", "natural")
    options: dict[str, float | int | bool | str] = option(
        "the policy's own, such as {preset: paper, s: 1}; docs/ado.md has them all", {}
    )


class ExecutorSection(Section):
    """Where runs are trained; nothing here changes what they measure."""

    kind: Literal["ray", "inline"] = option("ray, or inline: one run at a time in this process", "ray")
    ray_address: str | None = option("null: this machine; host:port: a cluster")
    cpus_per_run: int = option("", 1, ge=1)
    gpus_per_run: float | None = option("fractions allowed (0.25); null: one where there are GPUs", ge=0)
    processes_per_run: int = option(
        "more: data-parallel; each process then gets cpus_per_run and gpus_per_run", 1, ge=1
    )
    sharding: Literal["none", "fsdp"] = option(
        "none: the model whole in each process (DDP); fsdp: split over them (FSDP2)", "none"
    )
    workers: int | None = option("most runs at once; null: as many as fit", ge=1)
    device: Literal["auto", "cpu", "cuda"] = option("auto, cpu or cuda", "auto")
    precision: Literal["auto", "float32", "bfloat16"] = option("auto: bfloat16 on a GPU, float32 on a CPU", "auto")
    compile: bool = option("torch.compile", False)
    micro_batch: int | None = option("sequences in one forward pass; null: the whole batch", ge=1)
    checkpoint_seconds: float = option("", 60.0, gt=0)
    keep_checkpoints: bool = option(
        "keep every trained model, for from_pretrained: results/checkpoints/RUN/final", False
    )
    gpu: str | None = option("A100, H100 …: --dry-run counts GPU hours from FLOPs; null: it times this machine")
    mfu: float = option("the share of the GPU's peak FLOP/s that training reaches, for that count", 0.4, gt=0, le=1)

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
            from mixopt.execute.base import InlineExecutor

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

    to: Annotated[tuple[Annotated[str, _of(TRACKERS)], ...], BeforeValidator(names)] = option(
        "trackers that show each finished run, such as tensorboard; or module:Class", ()
    )
    project: str = option("project of wandb, experiment of MLflow", "mixopt", min_length=1)
    dir: str | None = option("where their files go; null: results/tracking")


def _default_settings() -> MethodSettings:
    return method_named(DEFAULT_METHOD).Settings(name=DEFAULT_METHOD)


class StudyConfig(Section):
    """A whole study. `method` holds the options of the method that it names, and no others."""

    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()
    method: SerializeAsAny[MethodSettings] = Field(default_factory=_default_settings)
    policy: PolicySection = PolicySection()
    executor: ExecutorSection = ExecutorSection()
    tracking: TrackingSection = TrackingSection()
    results: str = option("folder of the results table", "results")

    @classmethod
    def build(
        cls,
        content: dict[str, Any],
        source: str,
        flags: dict[str, Any] | None = None,
        *,
        method: str | None = None,
        default: str = DEFAULT_METHOD,
    ) -> StudyConfig:
        """Validate `content` with `flags` over it.

        Args:
            flags: values by dotted key (`training.tokens`), None for those not given.
            method: the method that runs; None for the one that `content` names. Of a file that names another one,
                the options that this one has too are taken.

        Raises:
            ConfigError: an unknown key or a wrong value; the message gives file or flag, key, and the nearest key.
        """
        merged = {key: dict(part) if isinstance(part, dict) else part for key, part in content.items()}
        given = {key: value for key, value in (flags or {}).items() if value is not None}
        section = _method_section(merged.pop("method", None), source, method or given.get("method.name"), default)
        for key, value in given.items():
            if key.startswith("method."):
                section[key.removeprefix("method.")] = value
            else:
                _put(merged, key, value)
        if method is not None:
            section["name"] = method
        settings = method_settings(section, source, given)
        try:
            return at_target(cls.model_validate({**merged, "method": settings}))
        except ValidationError as error:
            raise ConfigError(_explain(error, source, given)) from error

    @classmethod
    def load(
        cls,
        path: str | Path | None,
        flags: dict[str, Any] | None = None,
        *,
        method: str | None = None,
        default: str = DEFAULT_METHOD,
    ) -> StudyConfig:
        """The study in the YAML file `path` (None for the defaults), with `flags` over it; see `build`.

        Raises:
            ConfigError: the file cannot be read, or something in it is wrong.
        """
        if path is None:
            return cls.build({}, "study", flags, method=method, default=default)
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            hint = "" if Path(path).exists() else f"; `mixopt init {path}` writes one"
            raise ConfigError(f"study file {path}: cannot be read ({error}){hint}") from error
        except yaml.YAMLError as error:
            raise ConfigError(f"study file {path}: not YAML ({' '.join(str(error).split())})") from error
        if not isinstance(content, dict | None):
            raise ConfigError(f"study file {path}: expected sections such as `data:`, found {content!r:.60}")
        return cls.build(content or {}, f"study file {path}", flags, method=method, default=default)


def at_target(config: StudyConfig) -> StudyConfig:
    """The config whose model and tokens are those that the method's answer is about, where it names them."""
    preset, tokens = config.method.target_scale()
    updates: dict[str, Any] = {}
    if preset is not None and preset != config.model.preset:
        updates["model"] = ModelSection(preset=preset, vocab_size=config.model.vocab_size)
    if tokens is not None:
        updates["training"] = config.training.model_copy(update={"tokens": tokens})
    return config.model_copy(update=updates)


def _method_section(value: object, source: str, running: str | None, default: str) -> dict[str, Any]:
    """The file's `method` section, checked against the method that it names, as options of the method that runs."""
    section = {"name": value} if isinstance(value, str) else value if value is not None else {}
    if not isinstance(section, dict):
        raise ConfigError(f"{source}: method: expected options such as `name: ddo`, found {value!r:.60}")
    named = section.get("name") or running or default
    fields = method_named(str(named), f"{source}: method.name").Settings.model_fields
    for key in section:
        if key not in fields:
            raise ConfigError(f"{source}: {unknown_option(str(key), str(named))}")
    runs = str(running or named)
    if runs != named:
        fields = method_named(runs).Settings.model_fields
    # An option that is left empty is one that is not given.
    kept = {str(key): option for key, option in section.items() if key in fields and option is not None}
    return {**kept, "name": runs}


def unknown_option(key: str, method: str) -> str:
    """An option that a method does not have, and the nearest right one."""
    known = method_named(method).Settings.option_names()
    near, others = difflib.get_close_matches(key, known, n=1, cutoff=0.6), owners(key)
    hint = f"did you mean `method.{near[0]}`?" if near else f"{method} has {', '.join(known)}"
    if others:
        hint = f"it is an option of {', '.join(others)}; {method} has {', '.join(known)}"
    return f"unknown key `method.{key}` for the method {method}; {hint}"


def method_settings(section: dict[str, Any], source: str, flags: dict[str, Any] | None = None) -> MethodSettings:
    """The settings of the method that `section` names beside its options; `flags` as in `build`.

    Raises:
        ConfigError: an unknown option or a wrong value.
    """
    method, flags = method_named(str(section["name"]), "--method"), flags or {}
    for key in section:
        if key not in method.Settings.model_fields:
            where = f"flag for method.{key}" if f"method.{key}" in flags else source
            raise ConfigError(f"{where}: {unknown_option(key, method.name)}")
    try:
        return method.Settings.model_validate(section)
    except ValidationError as error:
        raise ConfigError(_explain(error, source, flags, "method")) from error


def _put(content: dict[str, Any], key: str, value: object) -> None:
    """Set a dotted key, making (or replacing the short form of) the section that it is in."""
    section, _, name = key.partition(".")
    if not name:
        content[section] = value
        return
    inner = content.get(section)
    if isinstance(inner, str) and section in StudyConfig.model_fields:
        first = next(iter(_section_fields(section)), name)
        inner = {first: inner}
    content[section] = {**(inner if isinstance(inner, dict) else {}), name: value}


def _section_fields(section: str) -> list[str]:
    annotation = StudyConfig.model_fields[section].annotation if section in StudyConfig.model_fields else None
    return list(annotation.model_fields) if isinstance(annotation, type) and issubclass(annotation, Section) else []


def _explain(error: ValidationError, source: str, flags: dict[str, Any], *within: str) -> str:
    """The first mistake in one line: where, expected, found, and for a key the nearest right one."""
    first = error.errors()[0]
    path = [*within, *(str(part) for part in first["loc"])]
    key = ".".join(path[:2])
    where = f"flag for {key}" if key in flags else source
    if first["type"] == "extra_forbidden":
        known = list(StudyConfig.model_fields) if len(path) == 1 else _section_fields(path[0])
        near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
        if not near and len(path) == 1:
            # A key of some section, written at the top.
            near = [
                f"{section}.{path[0]}" for section in StudyConfig.model_fields if path[0] in _section_fields(section)
            ]
        hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known)}"
        return f"{where}: unknown key `{'.'.join(path)}`; {hint}"
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    found = "" if "found" in message else f", found {first['input']!r:.60}"
    return f"{where}: {message}{found}" if key in flags else f"{where}: {key}: {message}{found}"
