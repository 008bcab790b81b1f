"""One thing, one colour: how a mixture, policy, method or domain looks in every picture, on paper and screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from zlib import crc32

# On white and on a dark screen. The first seven are Okabe and Ito's, told apart with colour-blind eyes too; the
# others lie between them and differ in lightness.
COLOURS: Mapping[str, tuple[str, str]] = {
    "blue": ("#0072B2", "#56B4E9"),
    "vermilion": ("#D55E00", "#FF8F4D"),
    "green": ("#009E73", "#33C79D"),
    "pink": ("#CC79A7", "#E08FC0"),
    "amber": ("#D99400", "#E6B422"),
    "sky": ("#56B4E9", "#A8DCF7"),
    "brown": ("#8C6D31", "#C9A45C"),
    "violet": ("#5B3A8E", "#B79BE0"),
    "teal": ("#1B9E9E", "#5FD6D6"),
    "crimson": ("#A50026", "#FF8A80"),
    "olive": ("#4D9221", "#9CCC65"),
    "navy": ("#23395B", "#8FA8D8"),
    "grey": ("#8A8A8A", "#A3ACBA"),
    "ink": ("#222222", "#E8ECF2"),
    "muted": ("#666666", "#A0A9B8"),
}
Dash = Literal["solid", "dash", "dot", "dashdot"]
DASHES: tuple[Dash, ...] = ("solid", "dash", "dot", "dashdot")

_HUES = tuple(colour for colour in COLOURS if colour not in ("ink", "muted"))
# Of what is in many pictures. The reference is the mixture of the base run.
_FIXED = {
    "recommended": "blue",
    "natural": "vermilion",
    "uniform": "green",
    "reference": "pink",
    "base": "pink",
    "best run": "amber",
    "nearest scale": "sky",
    "random": "grey",
}


@dataclass(frozen=True)
class Look:
    """A colour, by its name in `COLOURS`, and the dash of lines that need more than colours to be told apart."""

    colour: str
    dash: Dash = "solid"


INK, MUTED = Look("ink"), Look("muted")
# What a law says, whatever it is of; no mixture has this colour.
LAW = Look("violet")


def colour_of(name: str) -> str:
    """The colour of a mixture, policy or method that stands alone, by its name in `COLOURS`."""
    return looks_of([name])[name].colour


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """Looks of mixtures, policies or methods that are shown together: no two alike.

    Well-known ones always have their own colour. Any other has one that its name decides, whatever the order, and
    gives way only where two names of one set would have the same.
    """
    given = list(dict.fromkeys(names))
    found = {name: Look(_FIXED[name]) for name in given if name in _FIXED}
    taken = {look.colour for look in found.values()}
    free = [hue for hue in _HUES if hue not in _FIXED.values() and hue != LAW.colour]
    spare = [hue for hue in _HUES if hue not in free and hue not in taken]
    used: set[Look] = set()
    for name in sorted(set(given) - found.keys(), key=lambda name: (crc32(name.encode()), name)):
        start = crc32(name.encode()) % len(free)
        order = [*free[start:], *free[:start], *spare]
        choices = [Look(hue, dash) for dash in DASHES for hue in order]
        found[name] = next((look for look in choices if look not in used), choices[0])
        used.add(found[name])
    return {name: found[name] for name in given}


def looks_in_order(names: Sequence[str]) -> dict[str, Look]:
    """Looks of domains, by their place in the data: a domain has the same in every picture of a study."""
    count = len(_HUES)
    return {name: Look(_HUES[i % count], DASHES[i // count % len(DASHES)]) for i, name in enumerate(names)}
