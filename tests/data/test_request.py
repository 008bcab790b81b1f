import pytest

from mixopt.data.request import PrepareRequest
from mixopt.errors import ConfigError

GOOD = "domains: {web: crawl/, books: books.jsonl}\ntokenizer: bpe:400\nout: data\n"


def load(tmp_path, text, **changes):
    path = tmp_path / "prepare.yaml"
    path.write_text(text)
    return PrepareRequest.from_yaml(path, **changes)


def test_yaml_gives_the_request_and_flags_override_it(tmp_path):
    request = load(tmp_path, GOOD + "validation_share: 0.1\n", out="elsewhere", tokenizer=None)
    assert request == PrepareRequest(
        domains={"web": "crawl/", "books": "books.jsonl"}, tokenizer="bpe:400", out="elsewhere", validation_share=0.1
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "tokeniser: x\n", r"'tokeniser'.*did you mean 'tokenizer'"),
        (GOOD + "zzz: x\n", r"'zzz'; .*domains"),
        ("domains: {web: x}\nout: y\n", "'tokenizer', found domains, out"),
        (GOOD.replace("crawl/", "3"), r"domains\.web: .*string, found 3"),
        (GOOD.replace("{web: crawl/, books: books.jsonl}", "{}"), "NAME=PATH"),
        (GOOD + "validation_share: 1.5\n", r"validation_share: .*less than 1"),
        (GOOD + "validation_bytes: 0\n", r"validation_bytes: .*at least 1"),
        ("- a list\n", "expected `key: value` lines"),
        ("a: [", "not YAML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        PrepareRequest.from_yaml(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "\x1b[31m"])
def test_domain_names_must_be_printable(name):
    with pytest.raises(ConfigError, match="printable name"):
        PrepareRequest(domains={name: "x"}, tokenizer="bpe:400", out="y")
