"""What DoReMi's proxies did, round by round."""

from __future__ import annotations

from typing import Literal

from mixopt.display.colours import looks_in_order
from mixopt.display.figure import Axis, Figure, Line, Panel
from mixopt.methods.base import Evidence, Recommendation, record


@record
class RoundEvidence:
    """A round; the paths are the first seed's."""

    reference: dict[str, float]  # mixture of the reference runs
    answer: dict[str, float]  # mean of the proxies' averages
    change: float  # greatest difference of a weight between the two
    averages: tuple[dict[str, float], ...]  # of each proxy, by domain
    references: tuple[str, ...]  # ids of the reference runs, a seed each
    proxies: tuple[str, ...]  # ids of the proxies
    tokens: tuple[int, ...]  # (P,) training tokens at each recorded moment
    alpha: dict[str, tuple[float, ...]]  # (P,) domain weight at each, by domain
    average: dict[str, tuple[float, ...]]  # (P,) mean of alpha so far, by domain
    excess: dict[str, tuple[float, ...]]  # (P,) excess loss, nats/token, by domain


@record
class DoremiEvidence(Evidence):
    """Behind DoReMi's answer."""

    kind: Literal["doremi"] = "doremi"
    eta: float  # rate of the exponentiated gradient
    smoothing: float  # share of the uniform distribution in every alpha
    sampling: dict[str, float]  # mixture that the proxies drew
    converged: bool  # whether another round would say the same
    rounds: tuple[RoundEvidence, ...]  # in order


# More columns than this are too narrow to be read; the last rounds are shown.
_MOST_ROUNDS = 4


def weights_figure(answer: Recommendation, evidence: DoremiEvidence) -> Figure:
    """A column a round: α (faint) and its average above, the excess loss λ below; a colour a domain.

    The paths are the first seed's; the legend has the answer, which is the mean over seeds.
    """
    shown = list(enumerate(evidence.rounds, start=1))[-_MOST_ROUNDS:]
    weights = answer.mixture.to_dict()
    order = sorted(weights, key=lambda name: -weights[name])
    looks = looks_in_order(answer.mixture.domains)

    def lines(part: RoundEvidence, of: str, *, faint: bool = False, named: bool = False) -> list[Line]:
        paths = {"alpha": part.alpha, "average": part.average, "excess": part.excess}
        return [
            Line(name=f"{name} {weights[name]:.3f}" if named else "", look=looks[name], x=part.tokens,
                 y=paths[of][name], about=f"{name}, {of}", faint=faint, width=1.9 if named else 1.0)
            for name in order
        ]  # fmt: skip

    above = [
        Panel(
            marks=[*lines(part, "alpha", faint=True), *lines(part, "average", named=True)],
            title=f"round {number}, greatest change {part.change:.3f}",
            x=Axis(counts=True),
            y=Axis(label="domain weight" if part is shown[0][1] else "", zero=True),
        )
        for number, part in shown
    ]
    below = [
        Panel(
            marks=lines(part, "excess"),
            title="excess loss",
            x=Axis(counts=True),
            y=Axis(label="nats/token" if part is shown[0][1] else "", zero=True),
        )
        for _, part in shown
    ]
    of = " of the first seed" if len(evidence.rounds[0].proxies) > 1 else ""
    return Figure(
        name="weights",
        title="Proxies, round by round",
        note=f"Domain weights{of}: of the step (faint) and their average; below, the excess losses.",
        panels=[*above, *below],
        across=len(shown),
        size=(3.3, 2.5) if len(shown) > 1 else (5.0, 2.5),
        legend="right",
        legend_title="answer",
        below=f"training tokens of the proxy{of}",
    )
