"""Rounds of DoReMi as runs of the table: what follows from what, what is trained again, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mixopt.errors import ConfigError, ExecutorError
from mixopt.execute.base import InlineExecutor, Quiet
from mixopt.history import empty_history
from mixopt.methods.doremi.method import DOREMI
from mixopt.methods.doremi.searcher import Doremi
from mixopt.report.recommendation import save_recommendation
from mixopt.store import Store
from mixopt.study import Study, StudyConfig, run_study
from mixopt.study.compare.contenders import default_contenders
from mixopt.study.mixtures import resolve_mixture
from mixopt.trace import Moment, PolicyTrace
from tests.synthetic_runs import make_run, power_law

if TYPE_CHECKING:
    from mixopt.execute.base import Event
    from mixopt.methods.base import Recommendation
    from mixopt.result import RunResult, Status
    from mixopt.spec import RunSpec

# Where every round's answer is drawn to.
FIXED = np.array([0.6, 0.3, 0.1])


class Trainer:
    """A proxy answers with a tenth of its reference's mixture and nine of `FIXED`; a seed adds 0.01."""

    def __init__(self, results: Path, statuses: dict[str, Status] | None = None) -> None:
        self.calls: list[str] = []
        self._results, self._statuses = results, statuses or {}

    def __call__(self, spec: RunSpec, runtime: Any, progress: Any = None) -> RunResult:
        role = "proxy" if spec.policy.reference else "reference"
        self.calls.append(role)
        result = make_run(spec, power_law(2, 3), self._statuses.get(role, "finished"))[1]
        if runtime.keep_checkpoint:
            (Path(runtime.checkpoint_dir) / "final").mkdir(parents=True)
        if spec.policy.reference is None:
            return result
        assert runtime.reference_dir == str(self._results / "checkpoints" / spec.policy.reference / "final")
        assert Path(runtime.reference_dir).exists()
        with Store(self._results, read_only=True) as store:
            reference = store.get(spec.policy.reference)[0]
        assert reference.seed == spec.seed
        answer = 0.1 * reference.mixture.array + 0.9 * FIXED + spec.seed * np.array([0.01, -0.01, 0])
        by_domain = dict(zip(spec.data.domains, answer.tolist(), strict=True))
        moment = Moment(step=0, tokens=spec.tokens, parts=dict.fromkeys(("alpha", "average", "excess"), by_domain))
        trace = PolicyTrace(
            policy=spec.policy.name,
            settings={},
            domains=spec.data.domains,
            steps=np.arange(1),
            weights=np.array([spec.policy.weights], dtype=np.float32),
            moments=(moment,),
        )
        return replace(result, trace=trace)


class Told(Quiet):
    def __init__(self) -> None:
        self.events: list[Event] = []

    def event(self, event: Event) -> None:
        self.events.append(event)


def make_study(data_dir: Path, results: Path, **method: Any) -> Study:
    return Study(
        data_dir,
        model="gpt2-0.2m",
        tokens="4k",
        results=results,
        training={"batch_tokens": 256, "max_epochs": 50},
        executor={"kind": "inline"},
        method={"name": "doremi", **method},
    )


def run(study: Study, trainer: Trainer, watch: Quiet | None = None) -> Recommendation:
    with Store(study.config.results) as store:
        return run_study(study, study.searcher(), store, InlineExecutor(trainer), watch)


def roles(results: Path) -> list[tuple[str, RunSpec]]:
    with Store(results, read_only=True) as store:
        (study,) = store.studies()
        return sorted((str(role), store.get(run_id)[0]) for run_id, role in study["runs"] if store.has_finished(run_id))


@pytest.mark.slow
def test_each_round_s_reference_is_the_answer_of_the_last_until_they_agree(data_dir: Path, tmp_path: Path) -> None:
    study, trainer = make_study(data_dir, tmp_path, reference="uniform", rounds=9), Trainer(tmp_path)
    answer = run(study, trainer)
    assert trainer.calls == ["reference", "proxy"] * 4  # a tenth of the distance is left by each round
    assert answer.evidence.converged
    assert answer.mixture.array == pytest.approx(FIXED, abs=1e-3)
    specs = dict(roles(tmp_path))
    assert list(specs) == [f"round {n} {kind}" for n in range(1, 5) for kind in ("proxy", "reference")]
    expected = np.full(3, 1 / 3)
    for number in range(1, 5):
        reference, proxy = specs[f"round {number} reference"], specs[f"round {number} proxy"]
        assert reference.mixture.array == pytest.approx(expected)
        assert proxy.policy.reference == reference.run_id
        assert proxy.mixture.array == pytest.approx(np.full(3, 1 / 3))
        assert proxy.policy.options == {"eta": 1.0, "smoothing": 0.001}
        expected = 0.1 * expected + 0.9 * FIXED


@pytest.mark.parametrize(("method", "rounds"), [({}, 1), ({"reference": "uniform"}, 3), ({"rounds": 2}, 2)])
def test_rounds_unless_they_are_given(data_dir: Path, tmp_path: Path, method: dict[str, Any], rounds: int) -> None:
    study, trainer = make_study(data_dir, tmp_path, **method), Trainer(tmp_path)
    assert run(study, trainer).method == f"DoReMi, eta 1, round {rounds}"
    assert len(trainer.calls) == 2 * rounds


def test_the_natural_mixture_in_a_file_is_natural_too(data_dir: Path, tmp_path: Path) -> None:
    natural = make_study(data_dir, tmp_path).natural
    (tmp_path / "n.json").write_text(natural.to_json())
    searcher = make_study(data_dir, tmp_path, reference=str(tmp_path / "n.json")).searcher()
    assert isinstance(searcher, Doremi)
    assert searcher.settings.rounds == 1


def test_seeds_are_averaged_each_against_its_own_reference(data_dir: Path, tmp_path: Path) -> None:
    answer = run(make_study(data_dir, tmp_path, reference="uniform", rounds=1, seeds=3), Trainer(tmp_path))
    single = 0.1 / 3 + 0.9 * FIXED
    assert answer.mixture.array == pytest.approx(single + np.array([0.01, -0.01, 0]))
    low, high = answer.intervals["chant"]
    assert low < single[0] < high


def test_finished_runs_are_not_trained_again_and_the_answer_is_the_same(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path, rounds=2)
    first = run(study, Trainer(tmp_path))
    again = Trainer(tmp_path)
    for model in (tmp_path / "checkpoints").glob("*/final"):
        model.rmdir()  # they are of no use any more
    assert run(study, again).to_dict() == first.to_dict()
    assert again.calls == []


def test_the_reference_s_model_is_kept_and_trained_again_where_it_is_gone(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path)
    with pytest.raises(ConfigError, match=r"`round 1 proxy` with seed 0.*`mixopt runs show"):
        run(study, Trainer(tmp_path, {"proxy": "diverged"}))
    (model,) = (tmp_path / "checkpoints").glob("*/final")
    model.rmdir()
    trainer, told = Trainer(tmp_path), Told()
    run(study, trainer, told)
    assert trainer.calls == ["reference", "proxy"]
    (again,) = (event for event in told.events if event.kind == "again")
    assert (again.run_id, again.message) == (model.parent.name, "its trained model is needed and was not kept")


def test_a_reference_that_fails_ends_the_study_before_its_proxy(data_dir: Path, tmp_path: Path) -> None:
    trainer = Trainer(tmp_path, {"reference": "diverged"})
    with pytest.raises(ExecutorError, match="none of 1 runs finished"):
        run(make_study(data_dir, tmp_path), trainer)
    assert trainer.calls == ["reference"]


def test_a_plan_begins_with_the_references_and_says_what_follows(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path, reference="uniform", rounds=3, seeds=2)
    searcher = study.searcher()
    assert [str(one.role) for one in searcher.ask(empty_history())] == ["round 1 reference"] * 2
    assert "up to 2 more such rounds" in study.method.outlook(searcher)[0]
    assert "rounds" not in study.method.outlook(make_study(data_dir, tmp_path).searcher())[0]


def test_a_proxy_whose_trace_is_lost_is_named(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path)
    run(study, Trainer(tmp_path))
    for trace in (tmp_path / "traces").glob("*"):
        trace.unlink()
    with pytest.raises(ConfigError, match="has lost the trace of its weights; `mixopt runs rm"):
        run(study, Trainer(tmp_path))


def test_its_answer_is_a_mixture_by_name_and_a_contender(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path)
    answer = run(study, Trainer(tmp_path))
    written = save_recommendation(answer, DOREMI, tmp_path / "studies" / study.study_id)
    assert {path.name for path in written} == {"recommendation.json", "mixture.png", "weights.png"}
    with Store(tmp_path) as store:
        assert resolve_mixture(f"doremi:{study.study_id[:5]}", study, store) == answer.mixture
        assert [one.name for one in default_contenders(study, store)] == ["uniform", "natural", "doremi"]
        with pytest.raises(ConfigError, match=f"is one of `mixopt doremi`; write doremi:{study.study_id}"):
            resolve_mixture(f"ddo:{study.study_id}", study, store)


def test_what_changes_the_answer_changes_the_study_s_identity(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"chant": 0.2, "arithmetic": 0.2, "words": 0.6}')
    changes = [{}, {"eta": 0.1}, {"smoothing": 0.01}, {"rounds": 2}, {"reference": "uniform"},
               {"sampling": "natural"}, {"sampling": str(tmp_path / "s.json")}]  # fmt: skip
    assert len({make_study(data_dir, tmp_path, **change).study_id for change in changes}) == len(changes)
    study = make_study(data_dir, tmp_path, sampling=str(tmp_path / "s.json"))
    before = study.study_id
    (tmp_path / "s.json").write_text('{"chant": 0.6, "arithmetic": 0.2, "words": 0.2}')
    assert Study.of(study.config).study_id != before


def test_the_reference_is_natural_for_doremi_and_uniform_for_others() -> None:
    def reference(method: Any) -> str:
        return StudyConfig.build({"method": method}, "test").method.reference

    assert reference({}) == reference({"name": "ddo"}) == "uniform"
    assert reference("doremi") == reference({"name": "doremi", "reference": None}) == "natural"
    assert reference({"name": "doremi", "reference": "uniform"}) == "uniform"


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"eta": 0}, r"method\.eta: .*found 0"),
        ({"smoothing": 1}, r"method\.smoothing: .*found 1"),
        ({"rounds": 0}, r"method\.rounds: .*1"),
        ({"reference": "zero.json"}, r"method\.reference: .*found 0 for 'words'"),
        ({"sampling": "zero.json"}, r"method\.sampling: .*found 0 for 'words'"),
        ({"sampling": "nothing"}, "mixture 'nothing': no such file"),
    ],
)
def test_what_cannot_be_is_refused(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("zero.json").write_text('{"chant": 0.5, "arithmetic": 0.5, "words": 0}')
    with pytest.raises(ConfigError, match=message):
        make_study(data_dir, tmp_path, **method).searcher()


def test_a_single_domain_leaves_nothing_to_do(data_dir: Path, tmp_path: Path) -> None:
    content = make_study(data_dir, tmp_path).config.model_dump()
    content["data"] = {"dir": str(data_dir), "eval_only": ["arithmetic", "words"]}
    with pytest.raises(ConfigError, match=r"two domains .*found 'chant' alone"):
        Study.of(StudyConfig.build(content, "test")).searcher()


def test_a_run_that_would_repeat_a_domain_too_often_is_refused(data_dir: Path, tmp_path: Path) -> None:
    content = make_study(data_dir, tmp_path).config.model_dump()
    content["training"] |= {"tokens": "40k", "max_epochs": 1.0}
    content["data"] = {"dir": str(data_dir), "unique_tokens": {"words": 9000}}
    with pytest.raises(ConfigError, match="run `round 1 reference` asks for"):
        Study.of(StudyConfig.build(content, "test")).searcher()
