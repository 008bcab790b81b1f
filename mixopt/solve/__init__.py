"""Optima on the simplex."""
