"""What can be added from outside: kinds of things by name, built in, of installed packages, or `module:Class`.

A built-in is a line of a registry, imported when it is asked for. An installed package adds one by an entry point
of the registry's group (`[project.entry-points."mixopt.methods"]`, `greedy = "my_package:Greedy"`), and anybody
names one as `module:Class`, looked for in the current folder too.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import entry_points
from typing import Generic, TypeVar, cast

from mixopt.errors import ConfigError

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one kind by name.

    Args:
        kind: what they are, for messages: `method`.
        group: entry point group of those that installed packages bring: `mixopt.methods`.
        builtin: where our own are, as `module:attribute`, by name.
        base: class that every one is of, or inherits from; None for none.
    """

    def __init__(self, kind: str, group: str, builtin: Mapping[str, str], base: type | None = None) -> None:
        self.kind, self.group, self.builtin, self._base = kind, group, dict(builtin), base
        self._found: dict[str, T] = {}

    @cached_property
    def _where(self) -> dict[str, str]:
        # Ours come first: a package cannot take the place of a name that people know.
        return {entry.name: entry.value for entry in entry_points(group=self.group)} | self.builtin

    def __iter__(self) -> Iterator[str]:
        return iter([*self.builtin, *(name for name in self._where if name not in self.builtin)])

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, name: object) -> bool:
        return name in self._where or (isinstance(name, str) and is_path(name))

    @property
    def offer(self) -> str:
        """What may be asked for, in words for help texts: our own names (no package is looked at), or a path."""
        return f"{', '.join(self.builtin)} or module:Class"

    def check(self, name: str) -> str:
        """Where the thing called `name` is, as `module:attribute`; nothing is imported.

        Raises:
            ConfigError: no such name; the message has the nearest.
        """
        where = self._where.get(name, name)
        if not is_path(where):
            near = difflib.get_close_matches(name, list(self), n=1, cutoff=0.4)
            raise ConfigError(f"{self.kind}: expected {', '.join(near or self)} or module:Class, found {name!r:.80}")
        return where

    def get(self, name: str) -> T:
        """The thing called `name`.

        Raises:
            ConfigError: there is none; the message has the nearest name. Or its module cannot be imported, or what
                is there is of another kind.
        """
        if name not in self._found:
            where = self.check(name)
            found, base = load(where, self.kind), self._base
            if base and not (isinstance(found, base) or (isinstance(found, type) and issubclass(found, base))):
                raise ConfigError(
                    f"{self.kind} {where}: expected what is made from {base.__module__}.{base.__qualname__}, found "
                    f"{found!r:.80}"
                )
            self._found[name] = cast("T", found)
        return self._found[name]


def is_path(name: str) -> bool:
    """Whether `name` is written as `module:attribute`."""
    module, colon, attribute = name.partition(":")
    return bool(colon) and attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))


def load(where: str, kind: str) -> object:
    """What `module:attribute` names; modules in the current folder are found too.

    Raises:
        ConfigError: the module cannot be imported, or has no such attribute.
    """
    module, _, attribute = where.partition(":")
    added = [] if "" in sys.path else [""]
    sys.path[:0] = added
    try:
        found = importlib.import_module(module)
    except Exception as error:  # whatever it does when it is imported
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
        raise ConfigError(f"{kind} {where}: module {module} cannot be imported ({reason})") from error
    finally:
        for entry in added:
            sys.path.remove(entry)
    try:
        return getattr(found, attribute)
    except AttributeError as error:
        raise ConfigError(f"{kind} {where}: module {module} has no {attribute}") from error
