"""A domain of mathematics, generated: questions with exact answers, seeded, as long as wanted."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from fractions import Fraction

QUESTIONS_PER_DOCUMENT = 24


def maths_documents(count: int, seed: int = 0) -> Iterator[str]:
    """`count` documents of 24 questions and answers, each on a few topics; the same for the same seed."""
    rng = random.Random(seed)
    for _ in range(count):
        topics = rng.sample(TOPICS, 3)
        exercises = (rng.choice(topics)(rng) for _ in range(QUESTIONS_PER_DOCUMENT))
        yield "\n".join(f"Q: {question}\nA: {answer}" for question, answer in exercises)


def _sum(rng: random.Random) -> tuple[str, str]:
    terms = [_number(rng) for _ in range(rng.randint(2, 4))]
    text = str(terms[0]) + "".join(f" {'-' if term < 0 else '+'} {abs(term)}" for term in terms[1:])
    return rng.choice(["What is {}?", "Work out {}.", "Calculate {}."]).format(text), str(sum(terms))


def _product(rng: random.Random) -> tuple[str, str]:
    a, b = _number(rng), rng.randint(-99, 99)
    return f"Multiply {a} and {b}.", str(a * b)


def _division(rng: random.Random) -> tuple[str, str]:
    divisor, quotient = rng.randint(2, 99), rng.randint(1, 999)
    number = divisor * quotient + rng.randrange(divisor)
    return f"Divide {number} by {divisor}; give quotient and remainder.", f"{quotient}, {number % divisor}"


def _common_divisor(rng: random.Random) -> tuple[str, str]:
    factor = rng.randint(1, 60)
    a, b = factor * rng.randint(1, 60), factor * rng.randint(1, 60)
    if rng.random() < 0.5:
        return f"What is the greatest common divisor of {a} and {b}?", str(math.gcd(a, b))
    return f"What is the least common multiple of {a} and {b}?", str(math.lcm(a, b))


def _linear_equation(rng: random.Random) -> tuple[str, str]:
    letter, root = rng.choice("abcdkmnpqrstuvwxyz"), rng.randint(-50, 50)
    slope, other = rng.sample([k for k in range(-12, 13) if k], 2)
    constant = rng.randint(-99, 99)
    left = _polynomial([constant, slope], letter)
    right = _polynomial([constant + (slope - other) * root, other], letter)
    return f"Solve {left} = {right} for {letter}.", str(root)


def _fractions(rng: random.Random) -> tuple[str, str]:
    a, b = (Fraction(rng.randint(1, 30), rng.randint(2, 30)) for _ in range(2))
    sign, value = rng.choice([("+", a + b), ("-", a - b), ("*", a * b), ("/", a / b)])
    return f"Simplify ({a}) {sign} ({b}).", str(value)


def _derivative(rng: random.Random) -> tuple[str, str]:
    letter = rng.choice("xyztuvw")
    coefficients = [rng.randint(-20, 20) for _ in range(rng.randint(2, 5))] + [rng.randint(1, 20)]
    slopes = [power * value for power, value in enumerate(coefficients)][1:]
    question = f"Differentiate {_polynomial(coefficients, letter)} with respect to {letter}."
    return question, _polynomial(slopes, letter)


def _evaluation(rng: random.Random) -> tuple[str, str]:
    letter, name = rng.choice("xyzt"), rng.choice("fgh")
    coefficients = [rng.randint(-15, 15) for _ in range(rng.randint(1, 3))] + [rng.randint(1, 9)]
    at = rng.randint(-9, 9)
    value = sum(value * at**power for power, value in enumerate(coefficients))
    return f"Let {name}({letter}) = {_polynomial(coefficients, letter)}. What is {name}({at})?", str(value)


def _sequence(rng: random.Random) -> tuple[str, str]:
    start, step, bend = rng.randint(-50, 50), rng.randint(-30, 30), rng.randint(-3, 3)
    terms = [start + step * n + bend * n * n for n in range(6)]
    return f"What comes next: {', '.join(map(str, terms[:5]))}?", str(terms[5])


def _factors(rng: random.Random) -> tuple[str, str]:
    number = rest = rng.randint(2, 2000)
    factors = []
    divisor = 2
    while rest > 1:
        while rest % divisor == 0:
            factors.append(divisor)
            rest //= divisor
        divisor += 1
    return f"List the prime factors of {number}.", ", ".join(map(str, factors))


def _base(rng: random.Random) -> tuple[str, str]:
    number = rng.randint(1, 4095)
    base, digits = rng.choice([(2, f"{number:b}"), (8, f"{number:o}"), (16, f"{number:x}")])
    if rng.random() < 0.5:
        return f"Write {number} in base {base}.", digits
    return f"What is {digits} (base {base}) in base 10?", str(number)


def _sorting(rng: random.Random) -> tuple[str, str]:
    numbers = [_number(rng) for _ in range(rng.randint(3, 6))]
    falling = rng.random() < 0.5
    order = "descending" if falling else "ascending"
    answer = ", ".join(map(str, sorted(numbers, reverse=falling)))
    return f"Sort {', '.join(map(str, numbers))} in {order} order.", answer


def _percentage(rng: random.Random) -> tuple[str, str]:
    share, amount = rng.randint(1, 20) * 5, rng.randint(1, 200) * 20
    return f"What is {share} percent of {amount}?", str(share * amount // 100)


TOPICS: list[Callable[[random.Random], tuple[str, str]]] = [
    _sum, _product, _division, _common_divisor, _linear_equation, _fractions, _derivative, _evaluation, _sequence,
    _factors, _base, _sorting, _percentage,
]  # fmt: skip


def _number(rng: random.Random) -> int:
    """Of one to four digits, each length as likely."""
    size = 10 ** rng.randint(1, 4)
    return rng.randint(-size, size)


def _polynomial(coefficients: list[int], letter: str) -> str:
    """Written with falling powers: `-3*x**2 + x - 5`."""
    text = ""
    for power, value in reversed(list(enumerate(coefficients))):
        if not value:
            continue
        variable = "" if power == 0 else letter if power == 1 else f"{letter}**{power}"
        size = str(abs(value)) if not variable or abs(value) != 1 else ""
        sign = ("-" if value < 0 else "") if not text else (" - " if value < 0 else " + ")
        text += sign + size + ("*" if size and variable else "") + variable
    return text or "0"
