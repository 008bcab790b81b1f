"""Texts to tokens: special tokens, truncation, windows over contexts, and answers in them and back."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from mixopt.errors import DataError
from mixopt_finetune.encode import Encoder
from mixopt_finetune.examples import Answers, Examples
from mixopt_finetune.spans import LONGEST_ANSWER, answer_places, answer_texts, best_spans


@pytest.fixture(scope="module")
def make_encoder(bert):
    return lambda length=48: Encoder(bert, rows=301, context=64, length=length)


def decoded(encoder, ids):
    return encoder._backend.decode(ids.tolist(), skip_special_tokens=False)


def test_a_byte_level_bpe_has_its_end_of_text_where_bert_has_cls_and_sep(make_encoder):
    encoder = make_encoder()
    pair, single = (encoder.texts([texts]) for texts in (("la ho", "mi"), ("la ho",)))
    end = "<|endoftext|>"
    assert decoded(encoder, pair.tokens[0]) == f"{end}la ho{end}mi{end}"
    assert decoded(encoder, single.tokens[0]) == f"{end}la ho{end}"
    second = len(single.tokens[0])
    assert pair.segments[0].tolist() == [0] * second + [1] * (len(pair.tokens[0]) - second)


def test_a_text_that_says_end_of_text_does_not_end_there(make_encoder):
    (ids,) = make_encoder().texts([("la <|endoftext|> ho",)]).tokens
    assert (ids == 0).sum() == 2


def test_a_tokenizer_with_its_own_special_tokens_keeps_their_places(tmp_path):
    from transformers import BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "la", "ho", "##ho", "mi"]
    BertTokenizer(vocab={word: index for index, word in enumerate(words)}).save_pretrained(tmp_path)
    encoder = Encoder(tmp_path, rows=len(words), context=64, length=48)
    pair = encoder.texts([("La hoho", "mi")])
    assert [words[index] for index in pair.tokens[0]] == ["[CLS]", "la", "ho", "##ho", "[SEP]", "mi", "[SEP]"]
    assert pair.segments[0].tolist() == [0, 0, 0, 0, 0, 1, 1]


def test_of_a_pair_that_is_too_long_the_longer_text_loses_its_end(make_encoder):
    encoder = make_encoder(32)
    (ids,) = encoder.texts([("la mi", "ho hey " * 40)]).tokens
    assert len(ids) == 32
    assert decoded(encoder, ids).startswith("<|endoftext|>la mi<|endoftext|>ho hey")


def test_no_sequence_is_longer_than_the_models_context(bert):
    encoder = Encoder(bert, rows=301, context=40, length=128)
    assert encoder.texts([("ho " * 200,)]).lengths.tolist() == [40]
    assert encoder.windows([("ho", "hey " * 200)]).inputs.lengths.max() == 40


def test_windows_cover_the_context_and_share_a_third_of_the_length(make_encoder):
    context = " ".join(str(number) for number in range(100, 160))
    windows = make_encoder().windows([("la " * 60, context), ("what", "ho")])
    assert windows.question.tolist() == [0] * (len(windows.question) - 1) + [1]
    covered = np.zeros(len(context), dtype=bool)
    for (first, last), offsets, question in zip(windows.bounds, windows.offsets, windows.question, strict=True):
        if question == 0:
            covered[offsets[first, 0] : offsets[last - 1, 1]] = True
    assert covered.all()
    (first, last), (following, _) = windows.bounds[:2]
    shared = windows.offsets[0][last - 16 : last]
    assert np.array_equal(shared, windows.offsets[1][following : following + 16])
    # The question keeps half of the length, and its own segment.
    assert first <= 24 + 2
    assert not windows.inputs.segments[0][:first].any()


def test_answers_go_to_tokens_and_back(make_encoder):
    """Whatever the context and wherever the answer: its tokens, in every window that has them, read as it does."""
    rng = random.Random(0)
    words = ["la", "ho", "née", "12", "don't", "“mi”", "(fa)", "sol,"]
    texts, answers = [], []
    for _ in range(60):
        parts = rng.choices(words, k=rng.randint(1, 60))
        first = rng.randrange(len(parts))
        answer = " ".join(parts[first : first + rng.randint(1, 4)])
        texts.append(("which words", " ".join(parts)))
        answers.append(Answers((answer,), len(" ".join(["", *parts[:first]])) if first else 0))
    examples = Examples(texts, np.empty(0), tuple(answers))
    for (_, context), answer in zip(texts, answers, strict=True):
        assert context.startswith(answer.texts[0], answer.start)
    windows = make_encoder().windows(texts)
    places = answer_places(windows, examples)
    found = places.any(axis=1)
    assert set(windows.question[found]) == set(range(60))
    assert not found.all()
    spans = np.column_stack([places, np.where(found, 1.0, 0.0)])
    assert answer_texts(windows, spans, [context for _, context in texts]) == [a.texts[0] for a in answers]


def test_the_best_span_is_the_best_of_all_that_are_allowed():
    generator = torch.Generator().manual_seed(0)
    starts, ends = torch.randn(2, 12, 60, generator=generator)
    bounds = torch.tensor([[7, 55], [20, 22], [59, 60]] * 4)
    starts[0, 7], ends[0, 54] = 50.0, 50.0  # too far apart
    ends[3, 3] = 99.0  # not in the context
    for row, (first, last, score) in enumerate(best_spans(starts, ends, bounds).tolist()):
        low, high = bounds[row].tolist()
        allowed = {
            (i, j): float(starts[row, i] + ends[row, j])
            for i in range(low, high)
            for j in range(i, min(i + LONGEST_ANSWER, high))
        }
        assert (int(first), int(last)) == max(allowed, key=lambda span: allowed[span])
        assert score == pytest.approx(max(allowed.values()))


def test_the_best_window_of_a_question_answers_it(make_encoder):
    windows = make_encoder().windows([("what", "la ho " * 40)])
    assert len(windows.question) > 2
    spans = np.column_stack([windows.bounds[:, :1], windows.bounds[:, :1] + 1, np.arange(len(windows.question)) % 3])
    begin, end = windows.offsets[2][windows.bounds[2, 0]][0], windows.offsets[2][windows.bounds[2, 0] + 1][1]
    assert answer_texts(windows, spans, ["la ho " * 40]) == [("la ho " * 40)[begin:end].strip()]


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(bert):
    with pytest.raises(DataError, match=r"301 tokens .*model knows 256"):
        Encoder(bert, rows=256, context=64, length=48)


def test_a_context_without_room_for_a_question_is_refused(bert):
    with pytest.raises(DataError, match="at least 32 tokens, found 16"):
        Encoder(bert, rows=301, context=16, length=48)
