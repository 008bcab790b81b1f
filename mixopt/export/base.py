"""What every export is made from, and what every format says about itself."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from mixopt.errors import ConfigError
from mixopt.mixture import Mixture
from mixopt.units import format_count


@dataclass(frozen=True, kw_only=True)
class Blend:
    """A mixture and what a trainer has to know besides; built by `Blend.of`."""

    name: str  # what the mixture is called, for comments
    mixture: Mixture  # shares of training tokens, all above 0 (some trainers refuse 0, and it trains on nothing)
    paths: Mapping[str, str]  # where each domain's data is, in the trainer's own form
    names: Mapping[str, str]  # for each domain a name of small letters, digits and underscores
    tokens: int | None = None  # training tokens in all; None where not told
    available: Mapping[str, int] | None = None  # distinct training tokens by domain; None where not told
    # mean tokens of one of the trainer's samples, by domain; None if all are equally long
    sample_tokens: Mapping[str, float] | None = None

    @classmethod
    def of(
        cls,
        name: str,
        mixture: Mixture,
        paths: Mapping[str, str],
        *,
        tokens: int | None = None,
        available: Mapping[str, int] | None = None,
        sample_tokens: Mapping[str, float] | None = None,
    ) -> Blend:
        """The blend of a mixture's domains that get anything at all.

        Raises:
            ConfigError: a domain that is used has no data, or no sample length.
        """
        used = Mixture.from_dict({domain: weight for domain, weight in mixture.to_dict().items() if weight > 0})
        for what, given in (("training tokens", available), ("tokens of a sample", sample_tokens)):
            lost = next((d for d in used.domains if given is not None and not given.get(d, 0) > 0), None)
            if lost is not None:
                raise ConfigError(f"export: {what} of {lost!r}: expected a number above 0, found none")
        return cls(
            name=name,
            mixture=used,
            paths={domain: paths[domain] for domain in used.domains},
            names=plain_names(used.domains),
            tokens=tokens,
            available=available,
            sample_tokens=sample_tokens,
        )

    @property
    def probabilities(self) -> dict[str, float]:
        """The chance that a trainer's next sample is of each domain: p_k ∝ w_k / (tokens of a sample of k).

        Drawing samples with p gives w of the tokens. Where samples are equally long, p = w.
        """
        if self.sample_tokens is None:
            return self.mixture.to_dict()
        lengths = self.sample_tokens
        return Mixture.normalised({d: w / lengths[d] for d, w in self.mixture.to_dict().items()}).to_dict()

    @property
    def epochs(self) -> dict[str, float]:
        """Passes over each domain's text in the whole training: w_k · tokens / available_k.

        Raises:
            ConfigError: the tokens of the training, or of the domains, are not known.
        """
        if self.tokens is None or self.available is None:
            missing = "--tokens" if self.tokens is None else "--data or --available"
            raise ConfigError(
                f"{missing} is missing: this format counts epochs, which are --tokens times a domain's share, over "
                "the domain's own tokens (--data FOLDER or --available FILE)"
            )
        return {
            domain: weight * self.tokens / self.available[domain] for domain, weight in self.mixture.to_dict().items()
        }

    def share_notes(self, numbers: Mapping[str, float]) -> dict[str, str]:
        """Each domain's share of tokens in words, for comments; nothing where `numbers` are these shares."""
        shares = self.mixture.to_dict()
        return {} if numbers == shares else {d: f"{share:.4g} of the tokens" for d, share in shares.items()}

    def heading(self, consumer: str, meaning: str) -> list[str]:
        """The first lines of a file, as text: what it is, for whom, what its numbers mean."""
        about = f"{format_count(self.tokens)} training tokens" if self.tokens else "shares of training tokens"
        return [f"Mixture {self.name} ({about}) for {consumer}, written by `mixopt export`.", meaning]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A trainer's format. A new one is a function and this, in a file, and a line in `FORMATS`."""

    consumer: str  # the trainer
    reader: str  # the class, function or flag of the trainer that reads the file
    meaning: str  # the same in a sentence
    write: Callable[[Blend], str]  # the file's content
    suffix: str = ".yaml"  # of the file
    weight: Literal["probability", "epochs"] = "probability"  # what the file's numbers are
    samples: bool = False  # whether numbers are by samples of any length, so that `Blend.sample_tokens` matters


def plain_names(domains: tuple[str, ...]) -> dict[str, str]:
    """For each domain a distinct name that is safe in paths and keys: `Pile-CC` gives `pile_cc`."""
    names: dict[str, str] = {}
    for domain in domains:
        words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in domain.lower())
        plain = "_".join(words.split()) or "domain"
        taken, number = set(names.values()), 2
        name = plain
        while name in taken:
            name, number = f"{plain}_{number}", number + 1
        names[domain] = name
    return names


def comment(lines: list[str]) -> str:
    """Sentences as a comment of YAML or Python, a new line each."""
    return "".join(f"# {part}\n" for line in lines for part in textwrap.wrap(line, 110))


PATTERN = "{name}"


def read_paths(given: Sequence[str], domains: tuple[str, ...]) -> dict[str, str]:
    """A path for each domain.

    Args:
        given: any of `DOMAIN=PATH`; a YAML or JSON file of `domain: path`; and one pattern with `{name}` (the
            domain in small letters, digits and underscores) or `{domain}` in it, for the domains not named
            otherwise. Without a pattern `{name}` alone is one if nothing at all is given.

    Raises:
        ConfigError: a domain has no path, or one is named that is not in the mixture.
    """
    paths: dict[str, str] = {}
    pattern = None if given else PATTERN
    for text in given:
        domain, equals, path = text.partition("=")
        if equals and domain in domains:
            paths[domain] = path
        elif "{name}" in text or "{domain}" in text:
            pattern = text
        elif equals and not Path(text).exists():
            raise ConfigError(_unknown(domain, domains))
        else:
            paths |= _read_file(text, domains)
    if pattern is not None:
        for domain, name in plain_names(domains).items():
            paths.setdefault(domain, pattern.replace("{name}", name).replace("{domain}", domain))
    lost = [domain for domain in domains if not paths.get(domain)]
    if lost:
        raise ConfigError(
            f"--paths: no path for {', '.join(map(repr, lost))}; give --paths {lost[0]!r}=PATH, or a pattern such "
            "as --paths 'data/{name}'"
        )
    return {domain: paths[domain] for domain in domains}


def _read_file(text: str, domains: tuple[str, ...]) -> dict[str, str]:
    try:
        content = yaml.safe_load(Path(text).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"--paths {text}: expected DOMAIN=PATH, a pattern with {{name}} in it, or a file of `domain: path` "
            f"({' '.join(str(error).split())})"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(path, str) for path in content.values()):
        raise ConfigError(f"--paths {text}: expected `domain: path` lines, found {content!r:.60}")
    for domain in content:
        if domain not in domains:
            raise ConfigError(_unknown(str(domain), domains))
    return content


def _unknown(domain: str, domains: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(domain, domains, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(domains)}"
    return f"--paths: the mixture has no domain {domain!r}; {hint}"
