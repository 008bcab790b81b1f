"""What should make a reader of DoReMi's answer careful: collapse, weights that never settled, rounds not done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixopt.units import format_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixopt.methods.doremi.rounds import DoremiSettings, Round

# Assumptions, none of them published: from where on a weight is all but one, an average still moves, an average is
# still where it began, a batch holds too little of a domain to score it.
_COLLAPSED = 0.9
_ONE_HOT = 0.95
_UNSETTLED = 0.02
_UNMOVED = 0.01
_FEW_SEQUENCES = 4.0


def warn(rounds: Sequence[Round], settings: DoremiSettings) -> tuple[str, ...]:
    """A sentence for each doubt about the last round's answer; none about a single domain, which has no choice."""
    if len(rounds[-1].reference.domains) < 2:
        return ()
    found = [
        _collapse(rounds[-1], settings),
        _unsettled(rounds[-1]),
        _unmoved(rounds[-1], settings),
        _moving_on(rounds, settings),
        _repeats(rounds[-1], settings),
        _one_seed(rounds[-1]),
    ]
    return tuple(sentence for sentence in found if sentence)


def _collapse(last: Round, settings: DoremiSettings) -> str | None:
    """α near one domain, in the answer or most of the time, and what is known to cause it."""
    weights = last.answer.to_dict()
    top = max(weights, key=lambda name: weights[name])
    one_hot = float(np.mean([(proxy.alpha.max(axis=1) > _ONE_HOT).mean() for proxy in last.proxies]))
    if weights[top] > _COLLAPSED:
        what = f"collapsed to one domain: {top} has {weights[top]:.2f} of the averaged weight"
    elif one_hot > 0.5:
        what = (
            f"the weights collapsed to one domain at a time: in {one_hot:.0%} of the moments recorded a single one "
            f"had over {_ONE_HOT:g}, and the answer is an average over which one it was"
        )
    else:
        return None
    return f"{what}; {_cause(settings)}"


def _cause(settings: DoremiSettings) -> str:
    rarest = min(settings.sampling.to_dict().items(), key=lambda item: item[1])
    sequences = settings.batch_sequences * rarest[1]
    advice = []
    if sequences < _FEW_SEQUENCES:
        advice.append(
            f"a batch holds {settings.batch_sequences} sequences, {sequences:.2g} of {rarest[0]} on average, so "
            "that its score is mostly noise: use a larger training.batch_tokens"
        )
    if settings.eta > 0.1:
        advice.append(f"at eta {settings.eta:g} a domain that is a nat behind gains a factor of "
                      f"{np.exp(settings.eta):.3g} in every step: use --eta 0.1")  # fmt: skip
    advice.append(
        f"early on the proxy is behind everywhere, and {format_count(settings.tokens)} tokens may be too few for "
        "that to pass: use more --tokens"
    )
    return "; ".join(advice)


def _unsettled(last: Round) -> str | None:
    """An average that still moved in the last quarter."""
    moves = []
    for proxy in last.proxies:
        before = proxy.average[np.searchsorted(proxy.tokens, 0.75 * proxy.tokens[-1])]
        moves.append(proxy.average[-1] - before)
    move = np.mean(moves, axis=0)
    at = int(np.abs(move).argmax())
    if abs(move[at]) <= _UNSETTLED:
        return None
    return (
        f"the average had not settled: the weight of {last.reference.domains[at]} moved by {move[at]:+.3f} in the "
        "last quarter of the proxy; use more --tokens"
    )


def _unmoved(last: Round, settings: DoremiSettings) -> str | None:
    """An average that is still where every α begins, as if nothing had been asked."""
    weights = last.answer.array
    if np.abs(weights - 1 / len(weights)).max() >= _UNMOVED:
        return None
    return (
        "every weight is within "
        f"{_UNMOVED:g} of uniform, where DoReMi begins: the domains are equally far behind the reference, or "
        f"{format_count(settings.tokens)} tokens at eta {settings.eta:g} are too few to tell them apart"
    )


def _moving_on(rounds: Sequence[Round], settings: DoremiSettings) -> str | None:
    """Rounds that were to converge and did not."""
    last = rounds[-1]
    if settings.rounds == 1 or last.converged:
        return None
    return (
        f"not converged: round {len(rounds)} changed a weight by {last.change:.3f}, and 0.001 is the mark; allow "
        f"more --rounds"
    )


def _repeats(last: Round, settings: DoremiSettings) -> str | None:
    """A domain that the answer repeats more often than is allowed: DoReMi knows of no supply."""
    epochs = {name: weight * settings.epochs[name] for name, weight in last.answer.to_dict().items()}
    name = max(epochs, key=lambda domain: epochs[domain])
    if epochs[name] <= settings.max_epochs:
        return None
    return (
        f"{format_count(settings.tokens)} tokens of this mixture repeat {name} {epochs[name]:.1f} times, and "
        f"{settings.max_epochs:g} are allowed (--max-epochs): DoReMi does not know how much text there is"
    )


def _one_seed(last: Round) -> str | None:
    if len(last.proxies) > 1:
        return None
    return "one seed: how far chance moves these weights is not known; --seeds 3 gives intervals"
