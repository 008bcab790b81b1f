"""What people may set of a search method: one class a method, from which all else that concerns options follows.

The section `method:` of a study file, the template of `mixopt init`, the flags of a command with their help, and a
study's identity are made from the fields of the method's own class. What a field says about itself:

    option("What it does.", default, flag="--other-name", shown=True, identity=False, mixture=True)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from mixopt.fields import Count, Section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Told:
    """What a field tells besides its type.

    Attributes:
        flags: on the command line; the field's own name where empty.
        shown: among the flags of `--help`; the others are taken too, and `mixopt init --method NAME` lists them.
        identity: it changes the answer, so that it is part of the study's identity.
        mixture: it names a mixture, whose weights count and not its name.
        trains: it is about runs to be trained, and means nothing where a table of runs is all that there is.
        example: how it is written in the template, where the default says too little.
    """

    flags: Sequence[str] = ()
    shown: bool = False
    identity: bool = True
    mixture: bool = False
    trains: bool = False
    example: str = ""


def option(
    text: str,
    default: Any = None,
    *,
    flag: str = "",
    shown: bool = False,
    identity: bool = True,
    mixture: bool = False,
    trains: bool = False,
    example: str = "",
    **limits: Any,
) -> Any:
    """A field of a method's settings.

    Args:
        text: what it does, in a line; in square brackets what None stands for.
        default: its value where nobody sets it.
        flag: names on the command line, the field's own where empty.
        shown: see `Told`.
        identity: see `Told`.
        mixture: see `Told`.
        trains: see `Told`.
        example: see `Told`.
        limits: pydantic's (`ge`, `lt`).
    """
    told = {
        "flags": flag.split(),
        "shown": shown,
        "identity": identity,
        "mixture": mixture,
        "trains": trains,
        "example": example,
    }
    return Field(default, description=text, json_schema_extra={"told": told}, **limits)


def told(field: FieldInfo) -> Told:
    """What a field tells; nothing where it was made without `option`."""
    extra = field.json_schema_extra
    found: Any = extra.get("told", {}) if isinstance(extra, dict) else {}
    return Told(**found)


class MethodSettings(Section):
    """Options that every method has; a method's own class adds its own."""

    name: str = Field("ddo", description="The method; a command that names one sets it.")
    objective: str = option(
        "What is minimised: mean_ppl, mean_loss, worst, task:NAME, downstream or weighted:FILE.",
        "mean_ppl",
        shown=True,
    )
    target_tokens: Count | None = option(
        "Tokens of the final training, for the cap on epochs [a run's own].", flag="--target-tokens --target"
    )
    verify_seeds: int = option(
        "Repeats of each mixture that --verify trains.", 3, identity=False, trains=True, ge=1, le=1000
    )

    @property
    def search_seeds(self) -> tuple[int, ...]:
        """Seeds that the search trains with; `--verify` takes others."""
        return tuple(range(getattr(self, "seeds", 1)))

    def target_scale(self) -> tuple[str | None, int | None]:
        """Preset and tokens of the runs that the answer is about, where the settings name them; else None."""
        return None, None

    @classmethod
    def option_names(cls) -> list[str]:
        """Its options, the method's name left out."""
        return [name for name in cls.model_fields if name != "name"]


class RepeatedSettings(MethodSettings):
    """Options of methods that repeat each run with several seeds."""

    seeds: int = option("Repeats of every run, which measure the noise.", 1, shown=True, trains=True, ge=1, le=1000)
