"""Models: transformers' own classes from a ModelSpec."""
