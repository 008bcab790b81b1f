"""PrepareRequest: what to prepare, from flags or a YAML file, and whether two requests are the same."""

from __future__ import annotations

import difflib
from dataclasses import field, fields
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from mixopt.data.readers import inventory
from mixopt.data.tokenizer import bpe_vocabulary, identity
from mixopt.errors import ConfigError, DataError, first_problem
from mixopt.files import read_mapping


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
class PrepareRequest:
    """Text to be made into tokens."""

    # where each domain's text is, as `mixopt.data.readers` reads it, by name
    domains: dict[str, str] = field(default_factory=dict)
    tokenizer: str  # path or name of a tokenizer, or `bpe:VOCAB`
    out: str  # folder for the data
    text_key: str = "text"  # key of the text in a JSON object, column in a table
    validation_share: float = 0.05  # part of each domain's bytes that is held out, in whole documents
    validation_bytes: int = 4_000_000  # the most bytes that are held out of each domain

    def __post_init__(self) -> None:
        if not self.domains:
            raise ConfigError("domains: expected at least one NAME=PATH, found none")
        for name, location in self.domains.items():
            if not name.strip() or not name.isprintable():
                raise ConfigError(f"domains: expected a printable name, found {name!r}")
            if not location:
                raise ConfigError(f"domain {name!r}: expected a path, found nothing")
        if not 0 < self.validation_share < 1:
            raise ConfigError(f"validation_share: expected more than 0, less than 1, found {self.validation_share}")
        if self.validation_bytes < 1:
            raise ConfigError(f"validation_bytes: expected at least 1, found {self.validation_bytes}")
        bpe_vocabulary(self.tokenizer)

    @classmethod
    def from_yaml(cls, path: str | Path, **changes: Any) -> PrepareRequest:
        """A request from a YAML file; `changes` (those not None) override what the file says.

        Raises:
            ConfigError: the file cannot be read, or a key or value is wrong.
        """
        content = read_mapping(path, str(path), "`key: value` lines")
        names = [item.name for item in fields(cls)]
        for key in content:
            if key not in names:
                near = difflib.get_close_matches(str(key), names, n=1, cutoff=0.4)
                hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(names)}"
                raise ConfigError(f"{path}: unknown key {key!r}; {hint}")
        content |= {key: value for key, value in changes.items() if value is not None}
        missing = [key for key in ("domains", "tokenizer", "out") if key not in content]
        if missing:
            raise ConfigError(f"{path}: expected the key {missing[0]!r}, found {', '.join(map(str, content))}")
        try:
            return cls(**content)
        except ValidationError as error:
            raise ConfigError(f"{path}: {first_problem(error)}") from error

    def identity(self) -> dict[str, Any]:
        """What decides the result, as JSON values: settings, and names, sizes and times of the files (not read).

        Raises:
            DataError: a domain's text is not there.
        """
        sources = {}
        for name, location in self.domains.items():
            try:
                sources[name] = inventory(location)
            except DataError as error:
                raise DataError(f"domain {name!r}: {error}") from error
        return {
            "domains": [[name, files] for name, files in sources.items()],
            "tokenizer": [self.tokenizer, identity(self.tokenizer)],
            "text_key": self.text_key,
            "validation": [self.validation_share, self.validation_bytes],
        }


def first_difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """In words, where two identities differ."""
    for key in ("tokenizer", "text_key", "validation"):
        if old.get(key) != new[key]:
            return f"{key.replace('_', ' ')} {old.get(key)!r:.80} before, {new[key]!r:.80} now"
    before, now = dict(old.get("domains", [])), dict(new["domains"])
    if list(before) != list(now):
        return f"domains {', '.join(before)} before, {', '.join(now)} now"
    changed = next((name for name in now if before[name] != now[name]), None)
    return f"the files of domain {changed!r} have changed" if changed else "the format has changed"
