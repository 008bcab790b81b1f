import re
from fractions import Fraction

import pytest

from mixopt.data.maths import TOPICS, maths_documents


def exercises(count=120, seed=3):
    for document in maths_documents(count, seed):
        yield from re.findall(r"^Q: (.*)\nA: (.*)$", document, re.MULTILINE)


def polynomial(text, **values):
    return eval(text, {"__builtins__": {}}, values)


def test_same_seed_same_text():
    assert list(maths_documents(3, 1)) == list(maths_documents(3, 1))
    assert list(maths_documents(3, 1)) != list(maths_documents(3, 2))


def test_documents_differ():
    assert len(set(maths_documents(500))) == 500


@pytest.mark.parametrize(
    ("pattern", "check"),
    [
        (r"(?:What is|Work out|Calculate) ([-+ \d]+)[?.]", lambda q, a: polynomial(q) == int(a)),
        (r"Multiply (\S+) and (\S+)\.", lambda x, y, a: int(x) * int(y) == int(a)),
        (r"Divide (\d+) by (\d+);.*", lambda n, d, a: "{}, {}".format(*divmod(int(n), int(d))) == a),
        (r"Simplify \((\S+)\) \* \((\S+)\)\.", lambda x, y, a: Fraction(x) * Fraction(y) == Fraction(a)),
        (
            r"Solve (.*) = (.*) for (.)\.",
            lambda left, right, x, a: polynomial(left, **{x: int(a)}) == polynomial(right, **{x: int(a)}),
        ),
        (r"Let .\((.)\) = (.*)\. What is .\((.*)\)\?", lambda x, f, at, a: polynomial(f, **{x: int(at)}) == int(a)),
        (r"What is (\w+) \(base (\d+)\) in base 10\?", lambda n, base, a: int(n, int(base)) == int(a)),
        (
            r"Sort (.*) in ascending order\.",
            lambda n, a: sorted(map(int, n.split(", "))) == list(map(int, a.split(", "))),
        ),
        (r"What is (\d+) percent of (\d+)\?", lambda p, n, a: Fraction(int(p) * int(n), 100) == int(a)),
    ],
)
def test_answers_are_right(pattern, check):
    found = [(match.groups(), answer) for question, answer in exercises() if (match := re.fullmatch(pattern, question))]
    assert len(found) >= 5
    assert all(check(*parts, answer) for parts, answer in found)


def test_derivatives_agree_with_differences():
    found = 0
    for question, answer in exercises():
        if match := re.fullmatch(r"Differentiate (.*) with respect to (.)\.", question):
            found += 1
            f = lambda at, match=match: polynomial(match[1], **{match[2]: at})  # noqa: E731
            step = Fraction(1, 10**6)
            slope = (f(2 + step) - f(2 - step)) / (2 * step)
            assert abs(slope - polynomial(answer, **{match[2]: Fraction(2)})) < Fraction(1, 10**6)
    assert found >= 5


def test_prime_factors_multiply_to_the_number():
    found = 0
    for question, answer in exercises():
        if match := re.fullmatch(r"List the prime factors of (\d+)\.", question):
            found += 1
            factors = list(map(int, answer.split(", ")))
            product = 1
            for factor in factors:
                product *= factor
                assert all(factor % divisor for divisor in range(2, factor))
            assert product == int(match[1])
            assert factors == sorted(factors)
    assert found >= 5


def test_every_topic_occurs():
    beginnings = {" ".join(question.split()[:2]) for question, _ in exercises()}
    assert len(beginnings) >= len(TOPICS)
