"""The constants of adaptive data optimisation, with the values of the paper, of its code, and ours."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mixopt.errors import ConfigError
from mixopt.laws.annealing import RateSchedule

Preset = Literal["robust", "paper", "official"]

# What Algorithm 1 and appendix A.1 of the paper, its code, and this package do differently (docs/ado.md).
_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "official": {
        "bounds": "official",
        "curve": "smoothed",
        "credit": "batch",
        "clock": "absolute",
        "clip": "preference",
        "least_alpha": 0.05,
    },
    "robust": {
        "bounds": "scale_free",
        "curve": "binned",
        "relative_credit": True,
        "clip": "projection",
        "min_points": 20,
        "max_drift": 0.05,
        "max_points": 2000,
        "adopt_after": 50,
    },
}
# Steps of the paper's runs; `total_steps` scales these constants from it, to these least values (a fit takes the
# time of some steps of a small model).
_PAPER_STEPS = 60_000
_SCALED = {"warmup": 1, "skip": 0, "stride": 1, "refit_interval": 50, "adopt_after": 0}


@dataclass(frozen=True, kw_only=True)
class AdoSettings:
    """Constants of `Ado`; the defaults are the paper's (Jiang et al. 2024, sections 3 and 4, appendix A.1)."""

    preset: Preset = "paper"  # whose choices these are
    gamma1: float = 0.1  # γ1, weight of the newest policy in the credit's moving average h (Eq. 2).
    gamma2: float = 0.1  # γ2, weight of the newest preference ρ in the policy π (Eq. 5).
    s: float = 0.5  # power of h in the credit λ (Eq. 2).
    delta_min: float = 0.01  # δ_min, the least share of a domain (section 3.3); 0 for none
    warmup: int = 5000  # steps on the prior before the first policy
    skip: int = 500  # first steps whose losses no fit sees
    stride: int = 10  # steps from one point of a loss curve to the next
    refit_interval: int = 1000  # steps from one fit of the laws to the next
    huber: float = 1e-3  # δ of Huber's loss on log losses (Eq. 6).
    # tokens in a sample, the unit of n. The paper's context is 1,024; β, and so the published bounds on it, depend on
    # this unit. Nothing else does.
    tokens_per_sample: int = 1024
    # of the laws: `paper` (hard), `official` (penalised), `scale_free` (hard, relative to the data)
    bounds: Literal["paper", "official", "scale_free"] = "paper"
    # points of a loss curve: `sampled` (the losses of every `stride`-th step), `smoothed` (those of a Savitzky-Golay
    # filter of 101 steps and order 3), `binned` (means of `stride` steps, weighted by tokens)
    curve: Literal["sampled", "smoothed", "binned"] = "sampled"
    # what h averages: the `policy`, or shares of the `batch` as drawn, in the warm-up too
    credit: Literal["policy", "batch"] = "policy"
    # whether the credit is a power of h relative to the prior, (h/μ)^s, in place of h^s. Where all domains are learnt
    # equally fast, π settles at the prior with it, and at μ^(1/(1 − s)) without.
    relative_credit: bool = False
    # what the running average π̄ counts: policy steps from 0 (`policy`), or `absolute` steps, by which the prior keeps
    # a part of π̄
    clock: Literal["policy", "absolute"] = "policy"
    # where the floor is put: `mixture` (π by the published Algorithm 2), `preference` (ρ by Algorithm 2, before it is
    # mixed and averaged), `projection` (π by an exact projection)
    clip: Literal["mixture", "preference", "projection"] = "mixture"
    least_alpha: float = 0.0  # least exponent in the learning speed, not in the law
    min_points: int = 3  # fewest points for the law of a domain
    # a law that misses the last quarter of its points by more than this, in median log loss, is refused; so is one
    # whose exponent is at its upper bound. Infinite for neither check.
    max_drift: float = math.inf
    # most points of a `binned` curve: beyond it neighbours merge, so that neither memory nor a fit grows with the run;
    # 0 for no limit
    max_points: int = 0
    # steps from a fit's start to its use. Above 0 it runs on a thread beside training; the steps are fixed so that
    # results do not depend on how fast it is.
    adopt_after: int = 0
    refit: bool = True  # False to fit nothing: laws then come from `Ado.set_laws`
    # `power` (Definition 1), or `schedule-aware`: the law of `mixopt.laws.annealing`, which knows what the learning
    # rate does and has bounds of its own. It needs `total_tokens`; the learning rate's peak cancels.
    law: Literal["power", "schedule-aware"] = "power"
    total_tokens: int = 0  # training tokens of the whole run, over which the learning rate's schedule goes
    lr_schedule: Literal["cosine", "linear"] = "cosine"  # shape of the learning rate's fall
    lr_warmup: float = 0.1  # share of the run before the fall
    lr_final: float = 0.1  # the last learning rate as a share of its peak
    # share of the run in which the effect of a fall of the learning rate on the loss sets in, 1/(1 − λ) steps in Tissue
    # et al. (2024): λ = 0.999 in 60,000 steps.
    annealing_memory: float = 1000 / 60_000

    def __post_init__(self) -> None:
        for name, least in (
            ("warmup", 1), ("skip", 0), ("stride", 1), ("refit_interval", 1), ("tokens_per_sample", 1),
            ("min_points", 3), ("max_points", 0), ("adopt_after", 0),
        ):  # fmt: skip
            self._require(name, least <= getattr(self, name), f"at least {least}")
        for name in ("gamma1", "gamma2"):
            self._require(name, 0 < getattr(self, name) <= 1, "above 0 and at most 1")
        self._require("s", 0 <= self.s <= 1, "0 to 1")
        self._require("delta_min", 0 <= self.delta_min < 1, "from 0 to below 1")
        self._require("huber", 0 < self.huber < math.inf, "above 0")
        self._require("least_alpha", 0 <= self.least_alpha < math.inf, "at least 0")
        self._require("max_drift", self.max_drift > 0, "above 0")
        self._require("max_points", self.max_points != 1, "0 or at least 2")
        self._require(
            "adopt_after", self.adopt_after < self.refit_interval, f"below refit_interval {self.refit_interval}"
        )
        self._require("lr_warmup", 0 <= self.lr_warmup < 1, "from 0 to below 1")
        self._require("lr_final", 0 <= self.lr_final <= 1, "0 to 1")
        self._require("annealing_memory", 0 < self.annealing_memory < math.inf, "above 0")
        self._require("total_tokens", self.total_tokens >= 0, "at least 0")
        if self.law == "schedule-aware":
            self._require("total_tokens", self.total_tokens > 0, "the tokens of the run for the schedule-aware law")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ConfigError(f"ado: {name}: expected {expected}, found {getattr(self, name)}")

    @classmethod
    def of(cls, preset: str, *, total_steps: int | None = None, **constants: Any) -> AdoSettings:
        """The settings of `preset` with some constants given.

        Args:
            total_steps: length of the run in steps: warm-up, skip, stride, refit interval and adoption, unless
                given, are the same shares of it as of the paper's 60,000 steps (refits at least 50 steps apart).
                None for the paper's steps.

        Raises:
            ConfigError: an unknown preset or constant, or a value out of its range; the message says which.
        """
        if preset not in _PRESETS:
            raise ConfigError(f"ado: preset: expected {', '.join(_PRESETS)}, found {preset!r}")
        known = {field.name: field for field in fields(cls)}
        for name, value in constants.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1) or [", ".join(known)]
                raise ConfigError(f"ado: unknown option {name!r}; nearest: {near[0]}")
            _check_kind(name, value, known[name].default)
        values = {"preset": preset, **_PRESETS[preset]}
        if total_steps is not None:
            if total_steps < 1:
                raise ConfigError(f"ado: total_steps: expected at least 1, found {total_steps}")
            defaults = {name: values.get(name, known[name].default) for name in _SCALED}
            scale = total_steps / _PAPER_STEPS
            values |= {name: max(least, int(defaults[name] * scale)) for name, least in _SCALED.items()}
            values["stride"] = min(values["stride"], defaults["stride"])
            values["adopt_after"] = min(values["adopt_after"], values["refit_interval"] - 1)
        return cls(**{**values, **constants})

    @property
    def first_step(self) -> int:
        """The step whose losses lead to the first policy: the last of the warm-up; in the code, the one after."""
        return self.warmup - (self.preset != "official")

    def fit_is_due(self, step: int) -> bool:
        """Whether laws are fitted after the losses of `step`."""
        since = step - self.first_step
        if since < 0:
            return False
        if self.preset == "official":
            return step % self.refit_interval == 0
        if self.preset == "paper":
            # Algorithm 1: before t = 0 (line 4), and after every t with t mod t_update = 0 (line 11), t = 0 too.
            return since == 0 or (since - 1) % self.refit_interval == 0
        return since % self.refit_interval == 0

    @property
    def rate_schedule(self) -> RateSchedule | None:
        """The learning rate over n, for laws that know it; None for power laws."""
        if self.law == "power":
            return None
        return RateSchedule(
            total=self.total_tokens / self.tokens_per_sample, shape=self.lr_schedule, warmup=self.lr_warmup,
            final=self.lr_final, memory=self.annealing_memory,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """JSON values, an infinity as None."""
        return {k: None if v == math.inf else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AdoSettings:
        """The inverse of `to_dict`; what an older version did not know has its default."""
        known: dict[str, Any] = {k: math.inf if v is None else v for k, v in values.items()}
        return cls(**known)


_CHOICES = {name: get_args(hint) for name, hint in get_type_hints(AdoSettings).items() if get_origin(hint) is Literal}


def _check_kind(name: str, value: Any, default: Any) -> None:
    """A value of the attribute's own kind, and one of the choices where there are some."""
    kinds: tuple[type, ...] = (int, float) if isinstance(default, float) else (type(default),)
    if not isinstance(value, kinds) or isinstance(value, bool) != isinstance(default, bool):
        raise ConfigError(f"ado: {name}: expected a {kinds[-1].__name__}, found {value!r}")
    if value not in _CHOICES.get(name, (value,)):
        raise ConfigError(f"ado: {name}: expected {', '.join(_CHOICES[name])}, found {value!r}")
