"""Mixture policies in users' own training: plain PyTorch here, Hugging Face's Trainer in `mixopt.online.hf`."""

from mixopt.online.controller import OnlineMixture, StepLosses
from mixopt.online.shared_losses import sequence_losses
from mixopt.online.stream import DOMAIN_KEY, MixtureStream, TokenWindows, token_windows

__all__ = [
    "DOMAIN_KEY",
    "MixtureStream",
    "OnlineMixture",
    "StepLosses",
    "TokenWindows",
    "sequence_losses",
    "token_windows",
]
