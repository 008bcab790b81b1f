"""`Role`: what a run is for, told to programs and to people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """What a run is for."""

    # sort of run, for programs: `base`, `perturbed`, `baseline`, `mixture`, `design`, `choice`, `confirmed`,
    # `reference`, `proxy`, `target`, `verify`, `compare`
    kind: str
    name: str = ""  # which one of that kind: the domain that is perturbed, the mixture that is verified; else empty
    words: str = ""  # as people read it (`code x3 at 200k`); empty for kind and name

    @classmethod
    def of(cls, text: str, kind: str = "", name: str = "") -> Role:
        """The role that was written down with this text; those of older tables have no kind and name."""
        plain = cls(kind, name)
        return plain if str(plain) == text else cls(kind, name, text)

    def __str__(self) -> str:
        return self.words or f"{self.kind} {self.name}".strip()
