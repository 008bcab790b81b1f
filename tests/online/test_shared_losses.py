"""Losses of sequences and domains against torch's own."""

from __future__ import annotations

import pytest
import torch

from mixopt.errors import DataError
from mixopt.online import sequence_losses
from mixopt.online.shared_losses import DomainSums


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sequence_losses_are_cross_entropies(dtype) -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 5, 7, dtype=dtype, requires_grad=True)
    labels = torch.randint(7, (3, 5))
    labels[0, :2] = labels[2] = -100
    sums, tokens = sequence_losses(logits, labels)
    each = torch.nn.functional.cross_entropy(logits.float().movedim(2, 1), labels, reduction="none")
    assert torch.allclose(sums, each.sum(1))
    assert tokens.tolist() == [3, 5, 0]
    (gradient,) = torch.autograd.grad(sums.sum(), logits, retain_graph=True)
    (expected,) = torch.autograd.grad(each.sum(), logits)
    assert torch.allclose(gradient, expected)


def test_logits_of_other_length_are_refused() -> None:
    with pytest.raises(DataError, match=r"found \(1, 4, 7\) and \(1, 5\)"):
        sequence_losses(torch.zeros(1, 4, 7), torch.zeros(1, 5, dtype=torch.int64))


def test_sums_by_domain_over_batches() -> None:
    sums = DomainSums(3)
    sums.add(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1, 1, 2]), torch.tensor([2, 0, 2]))
    sums.add(torch.tensor([torch.inf, 8.0]), torch.tensor([3, 3]), torch.tensor([1, 0]))
    assert sums.sequences == 5
    assert sums.take().tolist() == [[10.0, torch.inf, 5.0], [4.0, 3.0, 3.0], [2.0, 1.0, 2.0]]
    assert sums.take().tolist() == [[0.0] * 3] * 3
