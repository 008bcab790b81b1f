"""ADSO: mixture, model size and tokens chosen a few runs at a time."""
