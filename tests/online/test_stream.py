"""A prepared data folder as datasets."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mixopt.data.sampler import MixtureSampler
from mixopt.data.tokens import TokenData
from mixopt.errors import DataError
from mixopt.online import OnlineMixture, token_windows

LENGTH = 32


def test_windows_are_those_of_the_data(data_dir) -> None:
    data, windows = TokenData.open(data_dir), token_windows(data_dir, LENGTH)
    assert tuple(windows) == data.manifest.domain_names
    assert tuple(map(len, windows.values())) == data.train_sequences(LENGTH)
    for domain, tokens in zip(windows.values(), data.train, strict=True):
        for index in (0, len(domain) - 1):
            item = domain[index]
            expected = tokens[index * LENGTH : (index + 1) * LENGTH + 1]
            assert item["input_ids"].tolist() == item["labels"].tolist() == expected.tolist()


def test_a_worker_maps_the_files_itself(data_dir) -> None:
    (name, windows), *_ = token_windows(data_dir, LENGTH).items()
    pickled = pickle.dumps(windows)
    assert len(pickled) < 1000
    copy = pickle.loads(pickled)
    assert (len(copy), copy.domain) == (len(windows), name)
    assert torch.equal(copy[3]["input_ids"], windows[3]["input_ids"])


def test_batches_are_those_of_mixopts_own_training(data_dir) -> None:
    data = TokenData.open(data_dir)
    names = data.manifest.domain_names
    sampler = MixtureSampler(data.train_sequences(LENGTH), seed=4, domains=names)
    online = OnlineMixture(token_windows(data_dir, LENGTH), "static", batch_size=8, seed=4, steps=20)
    weights = online.mixture.array
    steps = 0
    for batch in DataLoader(online.dataset, batch_size=8, num_workers=1):
        domains, indices = sampler.next_batch(weights, 8)
        assert np.array_equal(batch["input_ids"], data.batch("train", domains, indices, LENGTH))
        online.observe(torch.ones(8), torch.ones(8), batch["domain_id"])
        online.step()
        steps += 1
    assert steps == 20


def test_unknown_domain_and_sequences_too_long(data_dir) -> None:
    with pytest.raises(DataError, match="no domain 'news'"):
        token_windows(data_dir, LENGTH, ["news"])
    with pytest.raises(DataError, match="one train sequence"):
        token_windows(data_dir, 10**6)
