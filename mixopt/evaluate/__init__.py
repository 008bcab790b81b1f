"""Downstream evaluation: lm-eval's tasks, our offline suite, fine-tuning of masked models."""
