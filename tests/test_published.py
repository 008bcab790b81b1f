"""Published mixtures say where they come from, and meet the data's domains under the data's names."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import ConfigError
from mixopt.mixture import Mixture
from mixopt.published import published, spelled

PILE = published()["pile"].mixture.domains
REDPAJAMA = published()["redpajama-llama"].mixture.domains


@pytest.mark.parametrize("name", published())
def test_each_has_a_source_and_normalised_weights(name: str) -> None:
    entry = published()[name]
    assert entry.source
    assert entry.data
    assert math.fsum(entry.mixture.weights) == pytest.approx(1, abs=1e-12)
    assert min(entry.mixture.weights) > 0


@pytest.mark.parametrize(
    ("name", "domain", "printed", "total"),
    [
        ("pile", "PubMed Central", 0.1440, 1.0),
        ("pile-natural", "Github", 0.1227, 1.0),
        ("pile-doremi", "OpenWebText2", 0.1905, 1.0001),
        ("pile-doremi-256k", "Pile-CC", 0.6057, 1.0001),
        ("pile17-regmix", "Ubuntu IRC", 0.06417728505869834, 1.0),
        ("redpajama-llama", "common_crawl", 0.67, 1.0),
        ("redpajama-natural", "common_crawl", 878, 1210),
        ("redpajama-ddo", "c4", 1.8518998, 7.0),
    ],
)
def test_printed_numbers_are_kept_and_divided_by_their_sum(
    name: str, domain: str, printed: float, total: float
) -> None:
    entry = published()[name]
    assert entry.amounts[domain] == printed
    assert math.fsum(entry.amounts.values()) == pytest.approx(total, abs=1e-6)
    assert entry.mixture.to_dict()[domain] == pytest.approx(printed / total, rel=1e-6)


def test_mixtures_of_one_data_set_have_its_domains() -> None:
    by_data: dict[str, set[tuple[str, ...]]] = {}
    for entry in published().values():
        by_data.setdefault(entry.data, set()).add(entry.mixture.domains)
    assert {data: len(domains) for data, domains in by_data.items()} == dict.fromkeys(by_data, 1)
    assert {len(next(iter(domains))) for domains in by_data.values()} == {22, 17, 7}
    assert set(published()["pile17-regmix"].mixture.domains) < set(PILE)


def test_spelling_of_domains_does_not_matter() -> None:
    data = [name.upper().replace("_", " ") for name in reversed(REDPAJAMA)]
    found = spelled(published()["redpajama-llama"].mixture, data, "it")
    assert found.domains == tuple(data)
    assert found.to_dict()["COMMON CRAWL"] == 0.67


def test_domains_of_the_file_names_of_the_pile_are_the_pile() -> None:
    data = ["wikipedia_en", "gutenberg_pg_19"]
    mixture = Mixture(("Wikipedia (en)", "Gutenberg (PG-19)"), (0.25, 0.75))
    assert spelled(mixture, data, "it").to_dict() == {"wikipedia_en": 0.25, "gutenberg_pg_19": 0.75}


@given(st.permutations(PILE))
def test_order_of_the_data_is_kept(order: list[str]) -> None:
    found = spelled(published()["pile"].mixture, order, "it")
    assert list(found.domains) == order
    assert found.distance(published()["pile"].mixture) < 1e-15


def test_other_domains_are_refused_with_the_difference() -> None:
    data = [*(name for name in REDPAJAMA if name != "books"), "book"]
    with pytest.raises(ConfigError) as raised:
        spelled(published()["redpajama-llama"].mixture, data, "mixture 'redpajama-llama'")
    message = str(raised.value)
    assert message.startswith("mixture 'redpajama-llama': its domains are not the data's")
    assert "no weight for 'book'" in message
    assert "does not have 'books' (nearest: 'book')" in message


def test_a_missing_domain_gets_zero_only_where_that_is_allowed() -> None:
    mixture = Mixture(("a", "b"), (0.5, 0.5))
    assert spelled(mixture, ["a", "b", "c"], "it", complete=False).weights == (0.5, 0.5, 0.0)
    with pytest.raises(ConfigError, match="no weight for 'c'"):
        spelled(mixture, ["a", "b", "c"], "it")


def test_two_domains_of_one_spelling_are_not_guessed_at() -> None:
    mixture = Mixture(("books", "web"), (0.5, 0.5))
    with pytest.raises(ConfigError, match=r"'Books', 'BOOKS'; .*'books'"):
        spelled(mixture, ["Books", "BOOKS", "web"], "it")
    exact = spelled(Mixture(("Books", "BOOKS"), (0.25, 0.75)), ["BOOKS", "Books"], "it")
    assert exact.weights == (0.75, 0.25)


def test_two_spellings_of_one_domain_are_not_added_up() -> None:
    mixture = Mixture(("pile-cc", "Pile_CC"), (0.5, 0.5))
    with pytest.raises(ConfigError, match="no weight for 'pilecc'"):
        spelled(mixture, ["pilecc"], "it")
    with pytest.raises(ConfigError, match="'Pile_CC'"):
        spelled(mixture, ["pile-cc"], "it")
