"""Errors that users see: one clear line, then exit status 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class MixoptError(Exception):
    """Something the user can mend; the message says what was expected, what was found, where, what to do.

    The command line prints it as one line and exits with status 2; `--debug` shows the traceback.
    """


class DataError(MixoptError):
    """Text, tokens or a manifest are not what they should be."""


class ConfigError(MixoptError):
    """A flag, a study file or a mixture is wrong."""


class StoreError(MixoptError):
    """The results table cannot be read or written."""


class ExecutorError(MixoptError):
    """The place where runs are trained cannot be used."""


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, in words: where, what was expected, what was found."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}, found {first['input']!r:.60}"
