"""Replay of search methods on tables of finished runs."""
