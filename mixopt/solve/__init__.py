"""The mixture that minimises a convex law over the simplex with floors and caps."""

from mixopt.solve.bounds import Bounds, Supply, make_bounds, parse_floor
from mixopt.solve.interior_point import TransferLaws, solve_transfer
from mixopt.solve.simplex import PowerSum, Solution, solve_simplex

__all__ = [
    "Bounds",
    "PowerSum",
    "Solution",
    "Supply",
    "TransferLaws",
    "make_bounds",
    "parse_floor",
    "solve_simplex",
    "solve_transfer",
]
