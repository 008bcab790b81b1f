"""The package's version, where anything may take it from."""

__version__ = "0.1.0"
