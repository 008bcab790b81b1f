"""The mixture that minimises a convex law over the simplex with floors and caps."""

from mixopt.solve.bounds import Bounds, Supply, make_bounds, parse_floor
from mixopt.solve.interior_point import solve_transfer
from mixopt.solve.problem import PowerSum, Solution
from mixopt.solve.simplex import solve_simplex
from mixopt.solve.transfer import TransferLaws

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
