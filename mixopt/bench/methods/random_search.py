"""Random search: target runs of mixtures drawn without replacement."""

from __future__ import annotations

from mixopt.bench.base import Purchase, View


class RandomSearch:
    """Measures candidates at the target in random order; recommends the best so far."""

    def next(self, view: View) -> Purchase | None:
        """The next one of the order."""
        order = view.rng("order").permutation(view.problem.candidates)
        left = order[~view.paid(view.problem.target)[order]]
        return Purchase(int(left[0]), view.problem.target) if left.size else None

    def recommend(self, view: View) -> int:
        """The best mixture measured."""
        return view.best_measured()
