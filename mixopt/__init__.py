"""mixopt: find the best data mixture for pretraining language models."""

__version__ = "0.1.0"
