"""Plans without the thing itself: data that is not prepared yet, GPUs that are not here."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mixopt.data.manifest import FILE_NAME, DomainEntry, Manifest, Split
from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from mixopt.model_spec import ModelSpec
    from mixopt.study.config import DataSection, ExecutorSection

# Dense bfloat16 TFLOP/s of one GPU with its tensor cores: the makers' data sheets, without sparsity.
PEAK_TFLOPS = {
    "A100": 312.0,
    "A6000": 154.8,
    "B200": 2250.0,
    "H100": 989.4,
    "H100-PCIe": 756.0,
    "H200": 989.4,
    "L40S": 362.05,
    "MI300X": 1307.4,
}

# Held-out documents are more than what is measured on them, whatever `evaluation` asks for.
_VALIDATION_TOKENS = 10**9


def is_prepared(folder: str) -> bool:
    """Whether there is a data folder."""
    return (Path(folder) / FILE_NAME).exists()


def check_prepared(folder: str) -> None:
    """Refuse to train on data that is only expected.

    Raises:
        DataError: the data folder is not there.
    """
    if not is_prepared(folder):
        Manifest.load(folder)


def load_or_expect(data: DataSection, vocab_size: int | None) -> Manifest:
    """What the data folder holds; until there is one, what `data.expected` says it is going to hold.

    The latter has domains, tokens and a vocabulary to plan with, and no files.

    Raises:
        DataError: nothing is prepared, and nothing is expected.
        ConfigError: no vocabulary is told with what is expected, which the model's cost depends on.
    """
    if data.expected is None or is_prepared(data.dir):
        return Manifest.load(data.dir)
    if vocab_size is None:
        raise ConfigError("data.expected: expected model.vocab_size beside it (50257 for GPT-2's tokenizer)")
    entries = tuple(
        DomainEntry(
            name=name,
            train=_split(name, "train", count),
            validation=_split(name, "validation", _VALIDATION_TOKENS),
            duplicates_removed=0,
            source="expected",
        )
        for name, count in data.expected.items()
    )
    return Manifest(
        dtype="uint16" if vocab_size <= 2**16 else "uint32",
        vocab_size=vocab_size,
        eot_id=0,
        tokenizer="expected",
        tokenizer_hash="expected",
        domains=entries,
    )


def _split(name: str, part: str, tokens: int) -> Split:
    return Split(file=f"{name}/{part}", tokens=tokens, documents=0, bytes=0, hash=f"expected {tokens}")


@dataclass(frozen=True)
class AssumedSpeed:
    """How fast runs are on a GPU that is not here."""

    gpu: str  # a name of `PEAK_TFLOPS`
    mfu: float  # model FLOPs utilisation: the share of the peak that training reaches
    gpus: float  # GPUs of one run; a fraction shares one

    @classmethod
    def of(cls, executor: ExecutorSection) -> AssumedSpeed | None:
        """What an executor section assumes; None where it names no GPU, and this machine is timed.

        Raises:
            ConfigError: a GPU that is not known.
        """
        if executor.gpu is None:
            return None
        known = {name.casefold(): name for name in PEAK_TFLOPS}
        name = known.get(executor.gpu.casefold())
        if name is None:
            near = difflib.get_close_matches(executor.gpu.upper(), PEAK_TFLOPS, n=1, cutoff=0.5)
            raise ConfigError(f"executor.gpu: expected {', '.join(near or PEAK_TFLOPS)}, found {executor.gpu!r}")
        return cls(name, executor.mfu, (executor.gpus_per_run or 1.0) * executor.processes_per_run)

    def tokens_per_second(self, model: ModelSpec, sequence_length: int) -> float:
        """Training tokens a second of one run: mfu · peak · GPUs / FLOPs of a token."""
        return self.mfu * PEAK_TFLOPS[self.gpu] * 1e12 * self.gpus / model.flops_per_token(sequence_length)

    def __str__(self) -> str:
        return f"at {self.mfu:.0%} of the {PEAK_TFLOPS[self.gpu]:g} TFLOP/s of {self.gpu}".replace("%", " %")
