"""The study file: read with flags over it, and one clear line for each mistake in it."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, SerializeAsAny, ValidationError

from mixopt.errors import ConfigError
from mixopt.fields import Section
from mixopt.methods.registry import method_named, owners
from mixopt.methods.settings import MethodSettings
from mixopt.study.config_sections import (
    DataSection,
    EvaluationSection,
    ExecutorSection,
    ModelSection,
    PolicySection,
    TrackingSection,
    TrainingSection,
)

DEFAULT_METHOD = "ddo"


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
    results: str = "results"

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
            content: sections and keys, as in the file.
            source: where it comes from, for messages.
            flags: values by dotted key (`training.tokens`), None for those not given.
            method: the method that runs; None for the one that `content` names. Of a file that names another one,
                the options that this one has too are taken.
            default: the method where nobody names one.

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
    """The file's `method` section, as options of the method that runs.

    Raises:
        ConfigError: it is no section, names no method, or has an option that the method which it names does not.
    """
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
    """The settings of the method that `section` names.

    Args:
        section: `name` and options.
        source: where they come from, for messages.
        flags: those that come from the command line, by dotted key.

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
                f"{section}.{path[0]}"
                for section in StudyConfig.model_fields
                if path[0] in _section_fields(section)
            ]
        hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known)}"
        return f"{where}: unknown key `{'.'.join(path)}`; {hint}"
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    found = "" if "found" in message else f", found {first['input']!r:.60}"
    return f"{where}: {message}{found}" if key in flags else f"{where}: {key}: {message}{found}"
