"""Laws of loss against data, and their fits."""
