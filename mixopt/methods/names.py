"""Names of the search methods, as study files and results tables hold them, and the commands that run them."""

from __future__ import annotations

# Methods that `mixopt search --method` takes and that have no command of their own: a swarm and a law, or one run
# after the other.
ONE_SHOT = ("auto", "loglinear", "mixing-law", "regmix", "gp", "random")
SEQUENTIAL = ("adso", "tokens-only", "single-fidelity")
SEARCHES = (*ONE_SHOT, *SEQUENTIAL)


def command_of(method: str) -> str:
    """The command line of a method: `search --method gp`, `grid`, `ddo`."""
    return f"search --method {method}" if method in SEARCHES else method
