"""Parts of a study file as types: counts, shares and lists as people write them, and what refuses unknown keys."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from mixopt.errors import ConfigError
from mixopt.units import parse_count


def _count(value: object) -> int:
    try:
        return parse_count(value if isinstance(value, (int, float)) else str(value), "it")
    except ConfigError as error:
        raise ValueError(str(error).removeprefix("it: ")) from error


def _parts(value: object) -> Sequence[object]:
    return value.split(",") if isinstance(value, str) else value if isinstance(value, Sequence) else [value]


def _factors(value: object) -> tuple[float, ...]:
    try:
        return tuple(float(Fraction(str(part).strip())) for part in _parts(value))
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"expected numbers such as 1/3, 3, found {value!r}") from error


def _counts(value: object) -> tuple[int, ...]:
    return tuple(_count(part) for part in _parts(value))


def _multiple(value: object) -> object:
    # `20T`, `3x` and 3: multiples of a run at the target.
    return value.strip().rstrip("xXT") if isinstance(value, str) else value


def names(value: object) -> object:
    """Names with commas between them, as a list."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _domains(value: object) -> object:
    # One name is a name: a domain's may hold commas, so that text is not split at them.
    return [value] if isinstance(value, str) else value


Count = Annotated[int, BeforeValidator(_count)]
Counts = Annotated[tuple[int, ...], BeforeValidator(_counts)]
Factors = Annotated[tuple[float, ...], BeforeValidator(_factors)]
Numbers = Annotated[tuple[float, float], BeforeValidator(_factors)]
Multiple = Annotated[float, BeforeValidator(_multiple)]
Names = Annotated[tuple[str, ...], BeforeValidator(names)]
Pair = Annotated[tuple[str, str], BeforeValidator(names)]
Domains = Annotated[tuple[str, ...], BeforeValidator(_domains)]


class Section(BaseModel):
    """A part of a study file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    # `data: FOLDER` for `data: {dir: FOLDER}`, and so on: the section's first field.
    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {next(iter(cls.model_fields)): value} if isinstance(value, str) else value
