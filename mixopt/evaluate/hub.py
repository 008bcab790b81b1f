"""The Hugging Face hub: whether it answers, and its libraries kept from trying where it does not."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Seconds to wait for its first answer.
_PATIENCE = 5.0


def unreachable() -> str | None:
    """Why the hub, or the mirror in `HF_ENDPOINT`, does not answer; None where it does, whatever it says."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        get_session().head(constants.ENDPOINT, timeout=_PATIENCE)
    except Exception as error:  # the client's library has its own kinds of errors, by version
        return " ".join(str(error).split()) or type(error).__name__
    return None


@contextlib.contextmanager
def offline(on: bool) -> Iterator[None]:
    """Let the hub's libraries use their caches only: else each request is tried again for minutes."""
    import datasets.config
    from huggingface_hub import constants

    places = ((constants, "HF_HUB_OFFLINE"), (datasets.config, "HF_HUB_OFFLINE"))
    before = [getattr(module, name) for module, name in places]
    try:
        for module, name in places if on else ():
            setattr(module, name, True)
        yield
    finally:
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)
