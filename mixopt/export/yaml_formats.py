"""OLMo-core's source mixtures, Levanter's data section and MosaicML's streams."""

from __future__ import annotations

import math
from typing import Any

import yaml

from mixopt.export.base import Blend, Format, comment


def _dump(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False)


_OLMO_MEANING = (
    "`target_ratio` is a probability: the share of requested_tokens. `max_repetition_ratio` allows as many epochs "
    "as the training asks for; OLMo-core refuses to build a source that has too few tokens for its ratio."
)


def _olmo_core(blend: Blend) -> str:
    """A `SourceMixtureList` (`olmo_core/data/source_mixture.py`), for `SourceMixtureDatasetConfig.source_list`."""
    known = blend.tokens is not None and blend.available is not None
    # Rounded up to whole hundredths: the reader compares whole tokens with tokens · ratio.
    epochs = {d: max(1.0, math.ceil(e * 100) / 100) for d, e in blend.epochs.items()} if known else {}
    sources = [
        {
            "source_name": domain,
            "target_ratio": ratio,
            "paths": [blend.paths[domain]],
            "max_repetition_ratio": epochs.get(domain, 1.0),
        }
        for domain, ratio in blend.mixture.to_dict().items()
    ]
    heading = blend.heading("OLMo-core", _OLMO_MEANING)
    if known:
        heading.append(f"For SourceMixtureDatasetConfig(requested_tokens={blend.tokens}, …).")
    else:
        heading.append("Repetition: --tokens with --data or --available was not given, so every source is read once.")
    return comment(heading) + _dump({"sources": sources})


_LEVANTER_MEANING = (
    "`train_weights` are probabilities: shares of training sequences, which are equally long, so shares of tokens. "
    "They are whole sequences of a block, as Levanter would round others down. A domain is restarted when it runs "
    "out."
)
_BLOCK, _LARGEST_BLOCK = 2048, 32768


def _levanter(blend: Blend) -> str:
    """The `data` section of a Levanter config: `LmDataConfig` (`levanter/data/text/datasets.py`).

    `MixtureDataset` (`levanter/data/mixture.py`) rounds weight · mixture_block_size down for each component and
    gives what is left to the largest. Weights that are whole sequences of a block (a power of two, so exact as
    floats) leave nothing to be given away.
    """
    block = _BLOCK
    while block < _LARGEST_BLOCK and not blend.mixture.counts(block).all():
        block *= 2
    counts = dict(zip(blend.mixture.domains, blend.mixture.counts(block).tolist(), strict=True))
    given = {domain: count for domain, count in counts.items() if count}
    lost = [domain for domain, count in counts.items() if not count]
    data = {
        "components": {
            blend.names[domain]: {"source": {"type": "url", "train_urls": [blend.paths[domain]]}} for domain in given
        },
        "train_weights": {blend.names[domain]: count / block for domain, count in given.items()},
        "mixture_block_size": block,
        "stop_strategy": "restart",
    }
    heading = [
        *blend.heading("Levanter", _LEVANTER_MEANING),
        "The data section of a config; tokenizer and cache_dir are yours to add.",
    ]
    heading += [f"Left out, as it gets less than half a sequence in {block}: {domain}" for domain in lost]
    return comment(heading) + _dump({"data": data})


_PROPORTION_MEANING = (
    "`proportion` is a probability: the share of samples in an epoch of the combined dataset. Samples are taken to "
    "be equally long unless --sample-tokens says how long each domain's are."
)
_REPEAT_MEANING = (
    "`repeat` is epochs: how often each sample of the stream is seen in one epoch of the combined dataset, which "
    "is the whole training."
)


def _mosaicml(blend: Blend, key: str, numbers: dict[str, float], meaning: str) -> str:
    """Arguments of `streaming.Stream` by name, as LLM Foundry's `dataset.streams` and as a plain mapping."""
    streams = {}
    for domain, number in numbers.items():
        name, path = blend.names[domain], blend.paths[domain]
        place = {"remote": path, "local": f"streaming-cache/{name}"} if "://" in path else {"local": path}
        streams[name] = {**place, key: number}
    notes = [f"{blend.names[domain]}: {note}" for domain, note in blend.share_notes(numbers).items()]
    usage = "StreamingDataset(streams=[Stream(**stream) for stream in content['streams'].values()], …)"
    return comment([*blend.heading("MosaicML Streaming", meaning), usage, *notes]) + _dump({"streams": streams})


OLMO_CORE = Format(
    consumer="OLMo-core", reader="SourceMixtureList.from_yaml(FILE)", meaning=_OLMO_MEANING, write=_olmo_core
)
LEVANTER = Format(
    consumer="Levanter", reader="`data` of a training config, LmDataConfig", meaning=_LEVANTER_MEANING, write=_levanter
)
MOSAICML = Format(
    consumer="MosaicML Streaming",
    reader="streaming.Stream(proportion=…)",
    meaning=_PROPORTION_MEANING,
    write=lambda blend: _mosaicml(blend, "proportion", blend.probabilities, _PROPORTION_MEANING),
    samples=True,
)
MOSAICML_EPOCHS = Format(
    consumer="MosaicML Streaming",
    reader="streaming.Stream(repeat=…)",
    weight="epochs",
    meaning=_REPEAT_MEANING,
    write=lambda blend: _mosaicml(blend, "repeat", blend.epochs, _REPEAT_MEANING),
)
