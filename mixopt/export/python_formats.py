"""Trainers that are told a mixture in Python: torchtitan, LitGPT, Hugging Face datasets."""

from __future__ import annotations

from string import Template

from mixopt.export.base import Blend, Format, comment


def _render(template: str, blend: Blend, consumer: str, meaning: str) -> str:
    """A module: what it is, the mixture as a dict, and the trainer's own objects made from it."""
    probabilities = blend.probabilities
    notes = {domain: f"  # {note}" for domain, note in blend.share_notes(probabilities).items()}
    rows = "".join(
        f"    {blend.names[domain]!r}: ({blend.paths[domain]!r}, {weight!r}),{notes.get(domain, '')}\n"
        for domain, weight in probabilities.items()
    )
    heading = comment(blend.heading(consumer, meaning))
    mixture = f"# Name: (path, weight)\nMIXTURE = {{\n{rows}}}\n"
    return Template(template).substitute(heading=heading, mixture=mixture)


_TORCHTITAN_MEANING = (
    "Weights are probabilities: that the next sequence comes from the source. Sequences are packed to one length "
    "before they are drawn, so these are shares of training tokens. Sources start again when they run out."
)
# `torchtitan/hf_datasets/text_datasets.py`: DATASETS names how a data set is read, HFDataSource its weight;
# `torchtitan/hf_datasets/interleaved.py`: InterleavedDataset draws.
_TORCHTITAN = """\
$heading
from datasets import load_dataset
from torchtitan.hf_datasets import DatasetConfig
from torchtitan.hf_datasets.text_datasets import DATASETS, HFDataSource, InterleavedHuggingFaceTextDataLoader

$mixture

def _load(path):
    return load_dataset(path, split="train", streaming=True)


def _text(sample):
    return sample["text"]


for _name, (_path, _) in MIXTURE.items():
    DATASETS[_name] = DatasetConfig(path=_path, loader=_load, sample_processor=_text)

# The `dataloader` of a Trainer.Config.
dataloader = InterleavedHuggingFaceTextDataLoader.Config(
    sources=[HFDataSource(dataset=name, weight=weight, infinite=True) for name, (_, weight) in MIXTURE.items()],
    seed=42,
)
"""


_LITGPT_MEANING = (
    "Weights are probabilities: that the next block comes from the dataset. Blocks are equally long, so these are "
    "shares of training tokens. An epoch ends with the first dataset that runs out, and LitGPT begins another."
)
# `litdata.CombinedStreamingDataset` takes weights only with iterate_over_all=False; LitGPT's own mixture
# (`litgpt/data/tinyllama.py`) is built the same way.
_LITGPT = '''\
$heading# Beside the place where you start: litgpt pretrain MODEL --data this_file.MixtureData
from dataclasses import dataclass, field

from litdata import CombinedStreamingDataset, StreamingDataLoader, StreamingDataset, TokensLoader
from litgpt.data import DataModule

$mixture

@dataclass
class MixtureData(DataModule):
    """A mixture of token datasets that `litdata.optimize` wrote, each with a folder a split."""

    train_split: str = "train"
    val_split: str = "val"
    seed: int = 42
    num_workers: int = 8

    batch_size: int = field(init=False, repr=False, default=1)
    seq_length: int = field(init=False, repr=False, default=2048)

    def __post_init__(self):
        super().__init__()

    def connect(self, tokenizer=None, batch_size=1, max_seq_length=None, **kwargs):
        self.batch_size = batch_size
        self.seq_length = (max_seq_length or 2048) + 1  # the targets are one token further

    def dataset(self, split):
        parts = [
            StreamingDataset(
                input_dir=f"{path}/{split}",
                item_loader=TokensLoader(block_size=self.seq_length),
                shuffle=True,
                drop_last=True,
            )
            for path, _ in MIXTURE.values()
        ]
        weights = [weight for _, weight in MIXTURE.values()]
        return CombinedStreamingDataset(parts, seed=self.seed, weights=weights, iterate_over_all=False)

    def _dataloader(self, split):
        return StreamingDataLoader(
            self.dataset(split),
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            pin_memory=True,
            drop_last=True,
        )

    def train_dataloader(self):
        return self._dataloader(self.train_split)

    def val_dataloader(self):
        return self._dataloader(self.val_split)
'''


_HUGGINGFACE_MEANING = (
    "Probabilities are that the next example comes from the dataset. Examples are taken to be equally long "
    "(packed) unless --sample-tokens says how long each domain's are. Datasets start again until all have run out "
    "once."
)
# `datasets/combine.py`, interleave_datasets.
_HUGGINGFACE = """\
$heading
from datasets import interleave_datasets, load_dataset

$mixture

def mixed(load=lambda path: load_dataset(path, split="train", streaming=True), seed=0):
    return interleave_datasets(
        [load(path) for path, _ in MIXTURE.values()],
        probabilities=[weight for _, weight in MIXTURE.values()],
        seed=seed,
        stopping_strategy="all_exhausted",
    )
"""


TORCHTITAN = Format(
    consumer="torchtitan",
    reader="InterleavedHuggingFaceTextDataLoader.Config",
    meaning=_TORCHTITAN_MEANING,
    suffix=".py",
    write=lambda blend: _render(_TORCHTITAN, blend, "torchtitan", _TORCHTITAN_MEANING),
)
LITGPT = Format(
    consumer="LitGPT and LitData",
    reader="litgpt pretrain --data FILE.MixtureData, CombinedStreamingDataset",
    meaning=_LITGPT_MEANING,
    suffix=".py",
    write=lambda blend: _render(_LITGPT, blend, "LitGPT and LitData", _LITGPT_MEANING),
)
HUGGINGFACE = Format(
    consumer="Hugging Face datasets",
    reader="datasets.interleave_datasets(probabilities=…)",
    meaning=_HUGGINGFACE_MEANING,
    suffix=".py",
    write=lambda blend: _render(_HUGGINGFACE, blend, "Hugging Face datasets", _HUGGINGFACE_MEANING),
    samples=True,
)
