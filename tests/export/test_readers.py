"""Exports are read by the trainers' own code, and give the mixture there.

Only `datasets` and `megatron-core` go together with this project's own versions; the other readers are tested where
they are installed (docs/export.md says how), and skipped elsewhere.
"""

from __future__ import annotations

import json
import random
import types
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mixopt.export import FORMATS, Blend, read_paths
from mixopt.mixture import Mixture

if TYPE_CHECKING:
    from pathlib import Path

SHARES = {"web": 0.625, "code": 0.25, "maths": 0.125}


pytestmark = pytest.mark.slow  # the trainers are imported


def exported(form: str, pattern: str, **more: Any) -> str:
    mixture = Mixture.from_dict(SHARES)
    return FORMATS.get(form).write(Blend.of("mine", mixture, read_paths([pattern], mixture.domains), **more))


def module(text: str) -> types.ModuleType:
    made = types.ModuleType("exported")
    exec(compile(text, "exported.py", "exec", dont_inherit=True), made.__dict__)
    return made


def importing(name: str) -> Any:
    """A reader that may not be here, and may not be as strict about warnings as this project is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, exc_type=ImportError)


def near(counts: dict[str, int], tolerance: float = 0.03) -> None:
    total = sum(counts.values())
    assert {name: counts[name] / total for name in SHARES} == pytest.approx(SHARES, abs=tolerance)


def test_datasets_interleaves_the_shares() -> None:
    datasets = importing("datasets")
    made = module(exported("huggingface", "{name}"))

    def load(path: str) -> Any:
        return datasets.Dataset.from_list([{"domain": path}] * 400)

    mixed = made.mixed(load)
    near(Counter(example["domain"] for example in mixed))


def test_datasets_gives_shares_of_tokens_from_documents_of_any_length() -> None:
    datasets = importing("datasets")
    lengths = {"web": 100.0, "code": 400.0, "maths": 25.0}
    made = module(exported("huggingface", "{name}", sample_tokens=lengths))
    mixed = made.mixed(lambda path: datasets.Dataset.from_list([{"domain": path}] * 2000))
    documents = Counter(example["domain"] for example in mixed)
    near({name: round(documents[name] * lengths[name]) for name in SHARES})


def test_megatron_lm_reads_the_blend() -> None:
    utils = importing("megatron.core.datasets.utils")
    text = exported("megatron-lm", "data/{name}_text_document")
    prefixes, weights = utils.get_blend_from_list(text.split())
    assert dict(zip(prefixes, weights, strict=True)) == {f"data/{k}_text_document": w for k, w in SHARES.items()}

    splits = json.loads(exported("megatron-lm-split", "data/{name}_{split}"))
    for split in ("train", "valid", "test"):
        prefixes, weights = utils.get_blend_from_list(splits[split])
        assert prefixes == [f"data/{name}_{split}" for name in SHARES]
        assert weights == list(SHARES.values())


def test_megatron_lm_draws_the_shares() -> None:
    helpers = importing("megatron.core.datasets.helpers_cpp")
    utils = importing("megatron.core.datasets.utils")
    _, weights = utils.get_blend_from_list(exported("megatron-lm", "{name}").split())
    drawn, sample = np.zeros(1000, dtype=np.int16), np.zeros(1000, dtype=np.int64)
    helpers.build_blending_indices(drawn, sample, utils.normalize(weights), len(weights), 1000, False)
    assert np.bincount(drawn).tolist() == [625, 250, 125]


@pytest.mark.parametrize(("form", "kind"), [("energon", "blend"), ("energon-epochs", "blend_epochized")])
def test_energon_reads_the_metadataset(tmp_path: Path, form: str, kind: str) -> None:
    importing("megatron.energon")
    from megatron.energon.dataset_config import load_config  # pyright: ignore[reportMissingImports]
    from megatron.energon.epathlib import EPath  # pyright: ignore[reportMissingImports]
    from megatron.energon.metadataset import Metadataset  # pyright: ignore[reportMissingImports]

    path = tmp_path / "mixture.yaml"
    path.write_text(exported(form, "data/{name}", tokens=800, available={"web": 250, "code": 50, "maths": 1000}))
    found = load_config(EPath(path), default_type=Metadataset, default_kwargs={"path": EPath(path)})
    entries = getattr(found.splits["train"], kind)
    assert [str(entry.path) for entry in entries] == ["data/web", "data/code", "data/maths"]
    if form == "energon":
        assert [entry.weight for entry in entries] == list(SHARES.values())
    else:
        assert [entry.repetitions for entry in entries] == [2.0, 4.0, 0.1]


def test_olmo_core_builds_the_mixture_with_the_repetition_that_it_needs(tmp_path: Path) -> None:
    source_mixture = importing("olmo_core.data.source_mixture")
    have = {"web": 60_000, "code": 10_000, "maths": 30_000}
    for name, tokens in have.items():
        np.zeros(tokens, dtype=np.uint16).tofile(tmp_path / f"{name}.npy")
    path = tmp_path / "mixture.yaml"
    path.write_text(exported("olmo-core", f"{tmp_path}/{{name}}.npy", tokens=80_000, available=have))
    sources = source_mixture.SourceMixtureList.from_yaml(path)
    config = source_mixture.SourceMixtureDatasetConfig(
        source_list=sources, requested_tokens=80_000, global_batch_size=800, render_tables=False, quiet=True
    )
    built = config.build(npdtype=np.uint16, sequence_length=100)
    near({one.name: sum(part.tokens for part in one.path_tokens) for one in built.sources}, 0.002)


def test_streaming_derives_the_shares_and_the_epochs(tmp_path: Path) -> None:
    streaming = importing("streaming")
    import yaml

    have = {"web": 500, "code": 100, "maths": 400}
    for form, size in (("mosaicml", 800), ("mosaicml-epochs", None)):
        text = exported(form, f"{tmp_path}/{{name}}", tokens=800, available=have)
        streams = [streaming.Stream(**stream) for stream in yaml.safe_load(text)["streams"].values()]
        chosen = streaming.Stream.apply_weights(streams, np.array(list(have.values())), size, 0)
        assert chosen == 800
        assert [stream.choose for stream in streams] == [500, 200, 100]
        assert [stream.repeat for stream in streams] == [1.0, 2.0, 0.25]


def test_torchtitan_trains_on_the_shares_of_tokens(tmp_path: Path) -> None:
    importing("torchtitan.hf_datasets.text_datasets")
    rng = random.Random(0)
    for code, name in enumerate(SHARES):
        (tmp_path / name).mkdir()
        lines = [json.dumps({"text": str(code) * rng.randint(5, 40 * (code + 1))}) for _ in range(300)]
        (tmp_path / name / "train.jsonl").write_text("\n".join(lines))
    made = module(exported("torchtitan", f"{tmp_path}/{{name}}"))

    class Tokenizer:
        def encode(self, text: str, **_: Any) -> list[int]:
            return [int(letter) for letter in text]

    loader = made.dataloader.build(dp_world_size=1, dp_rank=0, tokenizer=Tokenizer(), seq_len=16, local_batch_size=1)
    counts: Counter[str] = Counter()
    for (batch, _), _ in zip(loader, range(3000), strict=False):
        counts[list(SHARES)[int(batch["input"].flatten()[0])]] += 1
    near(counts)


def test_levanter_takes_as_many_sequences_of_a_block_as_were_meant() -> None:
    datasets = importing("levanter.data.text.datasets")
    mixture = importing("levanter.data.mixture")
    draccus = importing("draccus")
    import yaml

    made = Blend.of("m", Mixture.from_dict({"a": 0.70004, "b": 0.29991, "c": 0.00005}), dict.fromkeys("abc", "x"))
    config = draccus.decode(datasets.LmDataConfig, yaml.safe_load(FORMATS.get("levanter").write(made))["data"])
    mixed = mixture.MixtureDataset(
        dict.fromkeys(config.train_weights), config.train_weights, config.mixture_block_size, key=0
    )
    (counts,) = mixed._counts_per_block_per_stage
    assert counts.tolist() == made.mixture.counts(config.mixture_block_size).tolist()


def _blocks(index: int) -> Any:  # module level: litdata's workers have to find it
    import torch

    yield torch.full((900,), index, dtype=torch.int32)


def test_litgpt_streams_the_shares(tmp_path: Path) -> None:
    litdata = importing("litdata")
    data = importing("litgpt.data")
    for code, name in enumerate(SHARES):
        litdata.optimize(
            fn=_blocks,
            inputs=[code] * 40,
            output_dir=str(tmp_path / name / "train"),
            chunk_size=900 * 40,
            item_loader=litdata.TokensLoader(),
            num_workers=1,
        )
    made = module(exported("litgpt", f"{tmp_path}/{{name}}"))
    found = made.MixtureData()
    assert isinstance(found, data.DataModule)
    found.connect(max_seq_length=8)
    counts = Counter(list(SHARES)[int(block[0])] for block in found.dataset("train"))
    assert sum(counts.values()) > 1000
    near(counts)
