"""The contract that every export format meets; a new one is a parameter by its line in `FORMATS`."""

from __future__ import annotations

import pytest

from mixopt.export import FORMATS, Blend, Format, read_paths
from mixopt.mixture import Mixture

HOSTILE = Mixture.normalised({"web text": 0.7, "Pile-CC": 0.2, 'quo"te\nline': 0.06, "αβγ": 0.04, "unused": 0.0})


@pytest.fixture(params=FORMATS)
def form(request: pytest.FixtureRequest) -> Format:
    return FORMATS.get(request.param)


def blend(form: Format) -> Blend:
    tokens = dict.fromkeys(HOSTILE.domains, 1000)
    paths = read_paths(["data/{name}_{split}" if "split" in form.reader else "data/{name}"], HOSTILE.domains)
    lengths = dict.fromkeys(HOSTILE.domains, 50.0) if form.samples else None
    return Blend.of("mine", HOSTILE, paths, tokens=10_000, available=tokens, sample_tokens=lengths)


def test_the_file_is_the_same_each_time_and_has_every_domain_that_is_used(form: Format) -> None:
    made = blend(form)
    text = form.write(made)
    assert text == form.write(blend(form))
    for name in made.names.values():
        assert f"data/{name}" in text
    assert "unused" not in text


def test_it_says_who_reads_it_and_what_its_numbers_are(form: Format) -> None:
    assert form.suffix.startswith(".")
    assert form.consumer
    assert form.reader
    assert ("epochs" if form.weight == "epochs" else "robabilit") in form.meaning
