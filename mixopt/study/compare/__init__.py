"""Mixtures and policies side by side."""
