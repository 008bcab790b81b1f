"""Where each domain's data is: `--paths` read."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from mixopt.errors import ConfigError
from mixopt.export.base import plain_names

if TYPE_CHECKING:
    from collections.abc import Sequence

PATTERN = "{name}"


def read_paths(given: Sequence[str], domains: tuple[str, ...]) -> dict[str, str]:
    """A path for each domain.

    Args:
        given: any of `DOMAIN=PATH`; a YAML or JSON file of `domain: path`; and one pattern with `{name}` (the
            domain in small letters, digits and underscores) or `{domain}` in it, for the domains not named
            otherwise. Without a pattern `{name}` alone is one if nothing at all is given.
        domains: all domains.

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
