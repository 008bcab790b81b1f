"""The commented study file that `mixopt init` writes; as it stands it holds the defaults.

It is made from the sections' fields, so that it lists all that there are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from mixopt.errors import ConfigError
from mixopt.fields import Section
from mixopt.methods.method import MethodSettings, told
from mixopt.methods.registry import method_named
from mixopt.study.config import ModelSection, StudyConfig

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_HEAD = """\
# A mixopt study: what to train on what, where. Flags override it; it is run by
#   mixopt {command}
# Counts may be written 800k, 10M, 1.2B. `null` means: choose what suits the rest.
"""


def template(method: str, path: str | Path = "THIS_FILE") -> str:
    """The study file of a method, with every option that it has.

    Raises:
        ConfigError: there is no such method.
    """
    owner = method_named(method, "--method")
    command, _, options = owner.command_line.partition(" ")
    parts = [_HEAD.format(command=" ".join(filter(None, (command, str(path), options))))]
    for name, field in StudyConfig.model_fields.items():
        section = owner.Settings if name == "method" else field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            parts.append("\n".join([f"{name}:", *_lines(section, method), ""]))
        else:
            parts.append(_line(name, field, margin=""))
    return "\n".join(parts) + "\n"


def _lines(section: type[Section], method: str) -> Iterator[str]:
    """A section's keys; a preset says what most of a model's are, so that these are only named."""
    first, *others = section.model_fields
    if section is ModelSection:
        yield _line(first, section.model_fields[first])
        yield f"  # Any field of the preset can be changed: {', '.join(others)}"
        return
    for name, field in section.model_fields.items():
        is_method = name == "name" and issubclass(section, MethodSettings)
        yield _line(name, field, value=method if is_method else None)


def _line(name: str, field: FieldInfo, *, margin: str = "  ", value: str | None = None) -> str:
    line = f"{margin}{f'{name}: {value or value_of(field)}':<28}"
    return f"{line} # {field.description}" if field.description else line.rstrip()


def value_of(field: FieldInfo) -> str:
    """The default, as the file has it; what None stands for is in the field's text."""
    if told(field).example and field.default is not None:
        return told(field).example
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    return yaml.safe_dump(value, default_flow_style=True).replace("\n...", "").strip()


def write_template(path: str | Path, method: str = "ddo") -> Path:
    """Write the study file of a method to `path`, which must not exist.

    Raises:
        ConfigError: there is such a file, it cannot be written, or there is no such method.
    """
    content = template(method, path)
    path = Path(path)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError as error:
        raise ConfigError(f"{path}: there is such a file already; it was left as it is, give another name") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); give another name") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
    except OSError as error:  # a full disk, say: a part of the file would only be in the way
        path.unlink(missing_ok=True)
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); make room or give another name") from error
    return path
