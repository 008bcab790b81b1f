"""mixopt: find the best data mixture for pretraining language models.

import mixopt

study = mixopt.Study("data/demo", model="gpt2-0.4m", tokens="800k")
print(mixopt.ddo(study).mixture)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixopt.version import __version__

if TYPE_CHECKING:
    from mixopt import results
    from mixopt.mixture import Mixture
    from mixopt.study import Study, autoscale, ddo, doremi, search

__all__ = ["Mixture", "Study", "__version__", "autoscale", "ddo", "doremi", "results", "search"]

_HOMES = {
    "Mixture": "mixopt.mixture",
    **dict.fromkeys(("Study", "autoscale", "ddo", "doremi", "search"), "mixopt.study"),
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import mixopt` stays light."""
    import importlib

    if name == "results":
        return importlib.import_module("mixopt.results")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
