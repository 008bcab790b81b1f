"""Megatron-LM's blends and Megatron-Energon's metadatasets."""

from __future__ import annotations

import json

import yaml

from mixopt.errors import ConfigError
from mixopt.export.base import Blend, Format, comment

_LM_MEANING = (
    "Weights are probabilities: shares of training sequences, which are equally long, so shares of training "
    "tokens. They need --train-samples or --train-iters; a domain is repeated when it runs out."
)
_SPLITS = ("train", "valid", "test")


def _blend(blend: Blend, split: str | None = None) -> list[str]:
    """Weight, prefix, weight, prefix and so on.

    `megatron/core/datasets/utils.py`, `get_blend_from_list`, reads such a list; it comes from a file split at white
    space, or from the command line (`megatron/training/utils.py`, `get_blend_and_blend_per_split`).
    """
    parts = []
    for domain, weight in blend.probabilities.items():
        prefix = blend.paths[domain]
        if split is not None:
            if "{split}" not in prefix:
                raise ConfigError(
                    f"--paths: {prefix!r} ({domain!r}) has no {{split}} in it, which stands for train, valid and "
                    "test: --paths 'data/{name}_{split}_text_document'; for files that Megatron-LM splits itself "
                    "use --to megatron-lm"
                )
            prefix = prefix.replace("{split}", split)
        if len(prefix.split()) != 1:
            raise ConfigError(
                f"--paths: Megatron-LM splits blends at white space, which the path {prefix!r} of {domain!r} has; "
                "rename it"
            )
        parts += [repr(weight), prefix]
    return parts


def _megatron_lm(blend: Blend) -> str:
    parts = _blend(blend)
    return "".join(f"{weight} {prefix}\n" for weight, prefix in zip(parts[::2], parts[1::2], strict=True))


def _megatron_lm_split(blend: Blend) -> str:
    # The reader looks up the three splits by name; other keys are left alone.
    about = {"comment": " ".join(blend.heading("Megatron-LM (--per-split-data-args-path)", _LM_MEANING))}
    return json.dumps({**about, **{split: _blend(blend, split) for split in _SPLITS}}, indent=2) + "\n"


_BLEND_MEANING = (
    "`weight` is a probability: that the next sample comes from the dataset. Samples are taken to be equally long "
    "unless --sample-tokens says how long each domain's are."
)
_EPOCHS_MEANING = (
    "`repetitions` are epochs: how often each sample is seen in one pass over the whole blend, which is the whole "
    "training (read with repeat=False)."
)


def _metadataset(blend: Blend, kind: str, key: str, numbers: dict[str, float], meaning: str) -> str:
    """A metadataset for `megatron.energon`: `MetadatasetBlend` or `MetadatasetBlendEpochized` of its v2 format."""
    entries = [{key: number, "path": blend.paths[domain]} for domain, number in numbers.items()]
    content = {"__module__": "megatron.energon", "__class__": "MetadatasetV2", "splits": {"train": {kind: entries}}}
    notes = [f"{blend.names[domain]}: {note}" for domain, note in blend.share_notes(numbers).items()]
    return comment([*blend.heading("Megatron-Energon", meaning), *notes]) + yaml.safe_dump(content, sort_keys=False)


MEGATRON_LM = Format(
    consumer="Megatron-LM",
    reader="--data-args-path FILE, or --data-path $(cat FILE)",
    meaning=_LM_MEANING,
    suffix=".txt",
    write=_megatron_lm,
)
MEGATRON_LM_SPLIT = Format(
    consumer="Megatron-LM",
    reader="--per-split-data-args-path FILE",
    meaning=_LM_MEANING,
    suffix=".json",
    write=_megatron_lm_split,
)
ENERGON = Format(
    consumer="Megatron-Energon",
    reader="get_train_dataset(FILE), MetadatasetV2 with `blend`",
    meaning=_BLEND_MEANING,
    write=lambda blend: _metadataset(blend, "blend", "weight", blend.probabilities, _BLEND_MEANING),
    samples=True,
)
ENERGON_EPOCHS = Format(
    consumer="Megatron-Energon",
    reader="get_train_dataset(FILE, repeat=False), MetadatasetV2 with `blend_epochized`",
    weight="epochs",
    meaning=_EPOCHS_MEANING,
    write=lambda blend: _metadataset(blend, "blend_epochized", "repetitions", blend.epochs, _EPOCHS_MEANING),
)
