"""OnlineMixture: a mixture policy at the wheel of a training loop that is not ours."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed

from mixopt.arrays import Floats, Ints, from_json, to_json
from mixopt.data.sampler import MixtureSampler
from mixopt.errors import ConfigError, DataError
from mixopt.mixture import Mixture
from mixopt.online.shared_losses import DomainSums, PlanBoard
from mixopt.online.stream import MixtureStream
from mixopt.policy import Course, LossWeighting, MixturePolicy, make_policy, options_in, weighs_losses


def rank_and_size() -> tuple[int, int]:
    """This process's rank, and how many there are; (0, 1) alone."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def gather(row: Tensor) -> Floats:
    """The rows (C,) of all processes, (N, C) by rank, the same in every process.

    Gathered and not reduced: sums that the host makes in the order of the ranks are bitwise equal everywhere.
    """
    _, size = rank_and_size()
    rows = [torch.empty_like(row) for _ in range(size)]
    if size > 1:
        distributed.all_gather(rows, row)
    else:
        rows = [row]
    return torch.stack(rows).cpu().numpy().astype(np.float64)


# Steps that are planned when training stands at one: that one and the next. The policy's protocol allows no more
# (losses may come one step late), and workers need no less to load while the device computes.
_AHEAD = 2


@dataclass(frozen=True, eq=False)
class StepLosses:
    """What a step measured, over all processes."""

    step: int  # counted from 0
    weights: Floats  # (K,) the mixture it was drawn by
    losses: Floats  # (K,) mean training loss by domain, nats/token; NaN where a domain was absent
    tokens: Ints  # (K,) targets by domain


@dataclass(frozen=True, eq=False)
class _Planned:
    """A step whose sequences are decided: by which mixture, from which state of the sampler, how many of each."""

    weights: Floats
    sampler: dict[str, Any]
    counts: Ints
    check: int


class OnlineMixture:
    """Draws each step's sequences by a policy's mixture and tells the policy the losses.

    Each sequence of a domain comes once in an epoch of that domain, in an order that depends on the seed alone. A
    step's mixture is that to which the losses up to two steps before lead (as in mixopt's own training), whatever
    the number of workers, so that a run is reproducible and the loader can work ahead.

        online = OnlineMixture({"web": web, "code": code}, "ado", batch_size=8)
        for batch in DataLoader(online.dataset, batch_size=8):
            ...                                                   # forward, backward, optimiser
            online.observe(loss_sums, tokens, batch["domain_id"])  # for each batch
            online.step()                                          # after each optimiser step

    Args:
        datasets: K datasets with a length and items by index, by domain.
        policy: a name (`mixopt.policy.POLICIES`), a `module:Class`, or a policy of K domains.
        batch_size: of the loader's batches, on each process.
        accumulate: batches of each process in a step.
        steps: after which the loader ends; None for until `close`.
        prior: the mixture that a policy given by name starts from; by default the domains' shares of all sequences.
        options: of a policy given by name; those that follow from `steps` need not be given.
        seed: order of the sequences; the same in all processes.

    Attributes:
        domains: K names.
        dataset: for the loader, whose `batch_size` must be this one's.
        policy: the policy.

    Raises:
        ConfigError: the policy is of other domains, a dataset has no length, or a number is below 1.
    """

    def __init__(
        self,
        datasets: Mapping[str, Any],
        policy: str | MixturePolicy = "ado",
        *,
        batch_size: int,
        accumulate: int = 1,
        steps: int | None = None,
        prior: Mixture | None = None,
        options: dict[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("accumulate", accumulate)):
            if value < 1:
                raise ConfigError(f"online: {name}: expected at least 1, found {value}")
        self.domains = tuple(datasets)
        lengths = {name: _length(name, dataset) for name, dataset in datasets.items()}
        self._sampler = MixtureSampler(list(lengths.values()), seed, self.domains)
        self.policy = _policy(policy, lengths, steps, prior, options)
        rank, size = rank_and_size()
        self._share = batch_size * accumulate
        self._board = PlanBoard(self._share * size)
        self.dataset = MixtureStream(list(datasets.values()), self._board, batch_size, accumulate, steps, rank, size)
        self._sums = DomainSums(len(self.domains))
        self._step = 0
        self._planned: deque[_Planned] = deque()
        self._plan_ahead()

    @property
    def steps_done(self) -> int:
        """Steps trained so far."""
        return self._step

    @property
    def sequences_per_step(self) -> int:
        """Over all processes."""
        return self._board.sequences

    @property
    def mixture(self) -> Mixture:
        """The mixture of the step that is trained next."""
        return Mixture(self.domains, tuple(self._planned[0].weights.tolist()))

    @property
    def epochs(self) -> dict[str, float]:
        """Times that training has gone through each domain."""
        drawn, unique = self._planned[0].sampler["drawn"], self._sampler.unique_sequences.tolist()
        return {name: d / u for name, d, u in zip(self.domains, drawn, unique, strict=True)}

    def observe(self, loss_sums: Tensor, tokens: Tensor, domain_ids: Tensor) -> None:
        """Take in a batch of this process; the device is not waited for.

        Args:
            loss_sums: (B,) each sequence's summed training loss, nats (`sequence_losses`).
            tokens: (B,) each sequence's targets.
            domain_ids: (B,) as the loader gave them.

        Raises:
            DataError: wrong shapes, or more sequences than a step has.
        """
        self._sums.add(loss_sums, tokens, domain_ids)
        if self._sums.sequences > self._share:
            raise DataError(
                f"online: expected {self._share} sequences between two calls of step(), observed "
                f"{self._sums.sequences}; call step() after each optimiser step, and give the loader batch_size="
                f"{self.dataset.batch_size}"
            )

    def step(self) -> StepLosses:
        """Close a step: add up over all processes, tell the policy, decide the sequences of the step after next.

        Call it on every process, after each optimiser step.

        Raises:
            DataError: what was observed is not what was drawn, or the processes have drawn differently.
        """
        if self._sums.sequences != self._share:
            raise DataError(
                f"online: expected {self._share} sequences in step {self._step}, observed {self._sums.sequences}; "
                f"call observe() for each batch, and give the loader batch_size={self.dataset.batch_size}"
            )
        planned = self._planned[0]
        sums = self._sums.take().flatten()
        rows = gather(torch.cat([sums, sums.new_tensor([planned.check >> 16, planned.check & 0xFFFF])]))
        if (rows[:, -2:] != rows[0, -2:]).any():
            raise DataError(
                f"online: the processes drew different sequences for step {self._step}; give all of them the same "
                "seed, datasets and policy"
            )
        loss_sums, tokens, counts = rows[:, :-2].sum(axis=0).reshape(3, -1)
        if (counts != planned.counts).any():
            raise DataError(
                f"online: step {self._step} drew {planned.counts.tolist()} sequences of {', '.join(self.domains)}, "
                f"observed were {counts.astype(int).tolist()}; pass on the domain ids as the loader gives them"
            )
        with np.errstate(invalid="ignore", divide="ignore"):
            losses = loss_sums / tokens
        done = StepLosses(self._step, planned.weights, losses, tokens.astype(np.int64))
        self.policy.observe(done.step, done.losses, done.tokens)
        self._step += 1
        self._planned.popleft()
        self._plan_ahead()
        self._board.advance()
        return done

    def close(self) -> None:
        """End the stream; workers that wait for a further step stop."""
        self._board.close()

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs, as JSON values; the same in all processes.

        Between steps. What workers have read ahead is not in it, and will be read again.
        """
        return {
            "domains": list(self.domains),
            "policy": type(self.policy).__qualname__,
            "step": self._step,
            "sampler": self._planned[0].sampler,
            "weights": to_json([planned.weights for planned in self._planned]),
            "policy_state": to_json(self.policy.state_dict()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly; make a new iterator of the loader afterwards.

        Raises:
            ConfigError: the state is of another policy or of other domains.
            DataError: the state is of another seed, or of datasets of other lengths.
        """
        policy = type(self.policy).__qualname__
        for what, ours in (("domains", list(self.domains)), ("policy", policy)):
            if state.get(what) != ours:
                raise ConfigError(f"online: the saved state has {what} {state.get(what)!s:.200}, this mixture {ours}")
        self._sampler.load_state_dict(state["sampler"])
        self.policy.load_state_dict(from_json(state["policy_state"]))
        self._step = state["step"]
        self._sums.take()
        self._board.begin(self._step)
        self._planned.clear()
        for weights in from_json(state["weights"]):
            self._plan(weights)

    def _plan_ahead(self) -> None:
        while len(self._planned) < _AHEAD:
            self._plan(np.array(self.policy.weights(self._step + len(self._planned)), dtype=np.float64))

    def _plan(self, weights: Floats) -> None:
        """Decide the sequences of the first step that is not planned."""
        if weights.shape != (len(self.domains),):
            raise ConfigError(
                f"online: expected a policy of {len(self.domains)} domains ({', '.join(self.domains)}), found one "
                f"with weights of shape {weights.shape}"
            )
        sampler = self._sampler.state_dict()
        domains, windows = self._sampler.next_batch(weights, self._board.sequences)
        check = self._board.publish(self._step + len(self._planned), domains, windows)
        counts = np.bincount(domains, minlength=len(self.domains))
        self._planned.append(_Planned(weights, sampler, counts, check))


def _length(name: str, dataset: Any) -> int:
    try:
        return len(dataset)
    except TypeError as error:
        raise ConfigError(
            f"online: domain {name!r}: expected a dataset with a length and items by index, found "
            f"{type(dataset).__name__}"
        ) from error


def _policy(
    policy: str | MixturePolicy,
    lengths: Mapping[str, int],
    steps: int | None,
    prior: Mixture | None,
    options: dict[str, Any] | None,
) -> MixturePolicy:
    if weighs_losses(policy) if isinstance(policy, str) else isinstance(policy, LossWeighting):
        raise ConfigError(
            f"online: expected a policy that chooses what is drawn, found {policy!s:.80}, which weighs losses "
            "against a reference model; `mixopt doremi` does that"
        )
    if not isinstance(policy, str):
        if prior is not None or options is not None:
            raise ConfigError("online: prior and options belong to a policy given by name; this one was given made")
        return policy
    start = Mixture.normalised(lengths) if prior is None else prior.ordered(lengths)
    return make_policy(policy, start, options_in(policy, Course(steps=steps), options or {}))
