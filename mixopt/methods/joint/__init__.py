"""One law for all runs of all scales."""
