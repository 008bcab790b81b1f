"""Replays search methods against tables of finished runs, without training."""
