import pytest

from mixopt.data.estimate import estimate, natural_mixture
from mixopt.data.prepare import prepare
from mixopt.errors import ConfigError, DataError
from tests.corpus import write_text


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("estimate")
    text = write_text(folder / "text", 120, domains=("chant", "words", "digits"))
    manifest = prepare(text, "bpe:300", folder / "out")
    tokens = {entry.name: entry.train.tokens + entry.validation.tokens for entry in manifest.domains}
    return text, str(folder / "out" / "tokenizer"), tokens


@pytest.mark.slow
def test_all_documents_give_the_exact_count(prepared):
    text, tokenizer, tokens = prepared
    for part in estimate(text, tokenizer, documents=1000):
        assert part.documents == part.sampled == 120
        assert part.tokens == pytest.approx(tokens[part.name], abs=1e-6)
        assert part.standard_error == 0


def test_some_documents_give_the_count_within_its_error(prepared):
    text, tokenizer, tokens = prepared
    parts = estimate(text, tokenizer, documents=30)
    for part in parts:
        assert part.sampled == 30
        assert 0 < part.standard_error < 0.05 * part.tokens
        assert abs(part.tokens - tokens[part.name]) < 4 * part.standard_error
    shares = natural_mixture(parts).to_dict()
    assert shares == pytest.approx({name: count / sum(tokens.values()) for name, count in tokens.items()}, rel=0.03)


def test_tokenizer_that_would_have_to_be_trained_is_refused(prepared):
    with pytest.raises(ConfigError, match="a tokenizer that exists"):
        estimate(prepared[0], "bpe:300")


def test_empty_domain_is_refused(prepared, tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match="'empty': expected documents"):
        estimate({"empty": tmp_path / "empty.jsonl"}, prepared[1])
