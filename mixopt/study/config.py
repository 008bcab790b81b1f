"""The study file: read with flags over it, and one clear line for each mistake in it."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mixopt.errors import ConfigError
from mixopt.study.config_sections import (
    DataSection,
    EvaluationSection,
    ExecutorSection,
    MethodSection,
    ModelSection,
    PolicySection,
    Section,
    TrackingSection,
    TrainingSection,
)


class StudyConfig(Section):
    """A whole study."""

    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()
    method: MethodSection = MethodSection()
    policy: PolicySection = PolicySection()
    executor: ExecutorSection = ExecutorSection()
    tracking: TrackingSection = TrackingSection()
    results: str = "results"

    @classmethod
    def build(cls, content: dict[str, Any], source: str, flags: dict[str, Any] | None = None) -> StudyConfig:
        """Validate `content` with `flags` over it.

        Args:
            content: sections and keys, as in the file.
            source: where it comes from, for messages.
            flags: values by dotted key (`training.tokens`), None for those not given.

        Raises:
            ConfigError: an unknown key or a wrong value; the message gives file or flag, key, and the nearest key.
        """
        merged = {key: dict(part) if isinstance(part, dict) else part for key, part in content.items()}
        given = {key: value for key, value in (flags or {}).items() if value is not None}
        for key, value in given.items():
            _put(merged, key, value)
        try:
            return cls.model_validate(merged)
        except ValidationError as error:
            raise ConfigError(_explain(error, source, given)) from error

    @classmethod
    def load(cls, path: str | Path | None, flags: dict[str, Any] | None = None) -> StudyConfig:
        """The study in the YAML file `path` (None for the defaults), with `flags` over it.

        Raises:
            ConfigError: the file cannot be read, or something in it is wrong.
        """
        if path is None:
            return cls.build({}, "study", flags)
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            hint = "" if Path(path).exists() else f"; `mixopt init {path}` writes one"
            raise ConfigError(f"study file {path}: cannot be read ({error}){hint}") from error
        except yaml.YAMLError as error:
            raise ConfigError(f"study file {path}: not YAML ({' '.join(str(error).split())})") from error
        if not isinstance(content, dict | None):
            raise ConfigError(f"study file {path}: expected sections such as `data:`, found {content!r:.60}")
        return cls.build(content or {}, f"study file {path}", flags)


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


def _explain(error: ValidationError, source: str, flags: dict[str, Any]) -> str:
    """The first mistake in one line: where, expected, found, and for a key the nearest right one."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
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
