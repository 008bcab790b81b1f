"""Exports hold the mixture exactly, in what the trainer counts, whatever the domains are called."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import ConfigError
from mixopt.export import FORMATS, Blend, read_paths
from mixopt.export.base import plain_names
from mixopt.mixture import Mixture
from mixopt.published import published

TEXTS = {"web text": 0.7, "Code": 0.25, "unused": 0.0, "maths": 0.05}
AVAILABLE = {"web text": 1000, "Code": 50, "unused": 9, "maths": 100}
LENGTHS = {"web text": 100.0, "Code": 400.0, "maths": 50.0}


def blend(weights: dict[str, float] | None = None, **more: Any) -> Blend:
    mixture = Mixture.normalised(weights or TEXTS)
    return Blend.of("mine", mixture, read_paths(["data/{name}"], mixture.domains), **more)


def written(form: str, made: Blend | None = None) -> Any:
    """What a format writes, parsed (text of a module as it is)."""
    text = FORMATS.get(form).write(made or blend(tokens=1000, available=AVAILABLE))
    suffix = FORMATS.get(form).suffix
    return yaml.safe_load(text) if suffix == ".yaml" else json.loads(text) if suffix == ".json" else text


def module(form: str, made: Blend) -> dict[str, tuple[str, float]]:
    """The mixture in an exported module, without the trainer that the module imports."""
    text = FORMATS.get(form).write(made)
    compile(text, form, "exec")
    start = text.index("MIXTURE = ")
    names: dict[str, Any] = {}
    exec(text[start : text.index("\n}\n", start) + 3], names)
    return names["MIXTURE"]


# What each format says, as {path: number}.
def numbers(form: str, made: Blend) -> dict[str, float]:
    if form in ("torchtitan", "litgpt", "huggingface"):
        return dict(module(form, made).values())
    content = written(form, made)
    if form == "megatron-lm":
        parts = content.split()
        return dict(zip(parts[1::2], map(float, parts[::2]), strict=True))
    if form == "megatron-lm-split":
        parts = content["train"]
        return {path.removesuffix("_train"): float(w) for w, path in zip(parts[::2], parts[1::2], strict=True)}
    if form.startswith("energon"):
        (entries,) = content["splits"]["train"].values()
        return {entry["path"]: entry.get("weight", entry.get("repetitions")) for entry in entries}
    if form == "olmo-core":
        return {source["paths"][0]: source["target_ratio"] for source in content["sources"]}
    if form == "levanter":
        data = content["data"]
        return {data["components"][k]["source"]["train_urls"][0]: w for k, w in data["train_weights"].items()}
    key = "repeat" if form == "mosaicml-epochs" else "proportion"
    return {stream["local"]: stream[key] for stream in content["streams"].values()}


def for_split(made: Blend, form: str) -> Blend:
    if form != "megatron-lm-split":
        return made
    paths = read_paths(["data/{name}_{split}"], made.mixture.domains)
    return Blend.of(made.name, made.mixture, paths, sample_tokens=made.sample_tokens)


BY_PROBABILITY = [name for name in FORMATS if FORMATS.get(name).weight == "probability" and name != "levanter"]
BY_SAMPLE = [name for name in FORMATS if FORMATS.get(name).samples]
BY_EPOCHS = [name for name in FORMATS if FORMATS.get(name).weight == "epochs"]


@pytest.mark.parametrize("form", BY_PROBABILITY)
def test_probabilities_are_the_shares_to_the_last_bit(form: str) -> None:
    found = numbers(form, for_split(blend(), form))
    assert found == {"data/web_text": 0.7, "data/code": 0.25, "data/maths": 0.05}


@pytest.mark.parametrize("form", BY_SAMPLE)
def test_probabilities_of_unequal_samples_give_the_shares_of_tokens(form: str) -> None:
    found = numbers(form, blend(sample_tokens=LENGTHS))
    assert math.fsum(found.values()) == pytest.approx(1)
    tokens = {path: chance * LENGTHS[d] for (path, chance), d in zip(found.items(), LENGTHS, strict=True)}
    total = math.fsum(tokens.values())
    assert [amount / total for amount in tokens.values()] == pytest.approx([0.7, 0.25, 0.05])


@pytest.mark.parametrize("form", BY_EPOCHS)
def test_epochs_are_tokens_wanted_over_tokens_there(form: str) -> None:
    found = numbers(form, blend(tokens=1000, available=AVAILABLE))
    assert found == pytest.approx({"data/web_text": 0.7, "data/code": 5.0, "data/maths": 0.5})


@pytest.mark.parametrize("form", BY_EPOCHS)
@pytest.mark.parametrize(
    ("given", "missing"), [({"tokens": 5}, "--data or --available"), ({"available": AVAILABLE}, "--tokens")]
)
def test_epochs_need_to_be_told_how_much_there_is(form: str, given: dict[str, Any], missing: str) -> None:
    with pytest.raises(ConfigError, match=f"^{missing} is missing"):
        FORMATS.get(form).write(blend(**given))


def test_olmo_core_may_repeat_as_often_as_it_has_to() -> None:
    sources = written("olmo-core")["sources"]
    assert {s["source_name"]: s["max_repetition_ratio"] for s in sources} == {
        "web text": 1.0,
        "Code": 5.0,
        "maths": 1.0,
    }
    assert {s["max_repetition_ratio"] for s in written("olmo-core", blend())["sources"]} == {1.0}


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.floats(1e-3, 1), min_size=1, max_size=22))
def test_levanter_loses_no_sequence_to_its_rounding(shares: list[float]) -> None:
    made = blend({f"d{k}": share for k, share in enumerate(shares)})
    data = written("levanter", made)["data"]
    block, weights = data["mixture_block_size"], data["train_weights"]
    # What levanter.data.mixture does with them: normalise, multiply, cut.
    counts = [int(weight / sum(weights.values()) * block) for weight in weights.values()]
    assert sum(counts) == block < 2**16
    assert counts == made.mixture.counts(block).tolist()
    assert set(data["train_weights"]) == set(data["components"])


def test_levanter_takes_larger_blocks_for_small_shares_and_says_what_gets_none() -> None:
    small = written("levanter", blend({"a": 0.9999, "b": 0.0001}))["data"]
    assert small["mixture_block_size"] == 8192
    text = FORMATS.get("levanter").write(blend({"a": 1 - 1e-6, "lost one": 1e-6}))
    assert "gets less than half a sequence in 32768: lost one" in text
    assert list(yaml.safe_load(text)["data"]["components"]) == ["a"]


@pytest.mark.parametrize("form", FORMATS)
def test_files_say_what_their_numbers_mean(form: str) -> None:
    made = for_split(blend(tokens=1000, available=AVAILABLE), form)
    text = " ".join(FORMATS.get(form).write(made).replace("\n# ", " ").split())
    if form != "megatron-lm":  # read by splitting at white space: no place for a comment
        assert FORMATS.get(form).meaning in text
        assert "Mixture mine" in text


@pytest.mark.parametrize("name", published())
@pytest.mark.parametrize("form", BY_PROBABILITY)
def test_published_mixtures_come_back_unchanged(form: str, name: str) -> None:
    mixture = published()[name].mixture
    made = for_split(Blend.of(name, mixture, read_paths([], mixture.domains)), form)
    assert list(numbers(form, made).values()) == list(mixture.weights)


@pytest.mark.slow
@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=12), st.floats(0.01, 1), min_size=1, max_size=5))
def test_any_domain_names_are_safe_in_modules_and_yaml(weights: dict[str, float]) -> None:
    mixture = Mixture.normalised(weights)
    made = Blend.of("a\n\"'''mixture", mixture, {domain: f"p/{domain}'\"\\" for domain in weights})
    for form in ("torchtitan", "litgpt", "huggingface"):
        assert list(module(form, made).values()) == list(zip(made.paths.values(), mixture.weights, strict=True))
    sources = written("olmo-core", made)["sources"]
    assert [source["source_name"] for source in sources] == list(weights)


@given(st.lists(st.text(min_size=1, max_size=6), unique=True, min_size=1, max_size=8))
def test_plain_names_are_distinct_and_plain(domains: list[str]) -> None:
    names = plain_names(tuple(domains))
    assert list(names) == domains
    assert len(set(names.values())) == len(domains)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_") for name in names.values())


def test_remote_streams_are_cached() -> None:
    mixture = Mixture.uniform(["a", "b"])
    made = Blend.of("m", mixture, {"a": "s3://bucket/a", "b": "/data/b"})
    assert written("mosaicml", made)["streams"] == {
        "a": {"remote": "s3://bucket/a", "local": "streaming-cache/a", "proportion": 0.5},
        "b": {"local": "/data/b", "proportion": 0.5},
    }


def test_megatron_refuses_paths_that_it_would_cut() -> None:
    made = Blend.of("m", Mixture.uniform(["a"]), {"a": "my data/a"})
    with pytest.raises(ConfigError, match="white space"):
        FORMATS.get("megatron-lm").write(made)
    with pytest.raises(ConfigError, match=r"has no \{split\} in it"):
        FORMATS.get("megatron-lm-split").write(blend())


def test_used_domains_need_their_numbers() -> None:
    with pytest.raises(ConfigError, match="training tokens of 'Code'"):
        blend(tokens=10, available={**AVAILABLE, "Code": 0})
    with pytest.raises(ConfigError, match="sample of 'maths'"):
        blend(sample_tokens={"web text": 1.0, "Code": 2.0})
