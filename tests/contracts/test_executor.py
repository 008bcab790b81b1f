"""What every executor promises, whatever happens to its workers."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mixopt.bench.executor import TableExecutor
from mixopt.errors import DataError, MixoptError, StoreError
from mixopt.evaluation import EvalRuntime
from mixopt.execute.base import Evaluation, Event, InlineExecutor, Job
from mixopt.methods.base import Role
from mixopt.train.device import Runtime
from tests.execute import evaluators, trainers
from tests.execute.evaluators import task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mixopt.execute.base import Executor
    from mixopt.result import Ended


def pool() -> Executor:
    from mixopt.execute.ray_pool import RayExecutor

    return RayExecutor(device="cpu", workers=2, trainer=trainers.moody, evaluator=evaluators.scored)


def table() -> TableExecutor:
    specs = [trainers.uniform_spec(seed) for seed in (0, 1, *range(30, 36))]
    found = {spec.run_id: (trainers.law(spec, Runtime(data_dir="")), 0.1) for spec in specs}
    return TableExecutor(found.get)


# Executors that do any job; a line each.
EXECUTORS: dict[str, Callable[[], Executor]] = {
    "inline": lambda: InlineExecutor(trainers.moody, evaluators.scored),
    "ray": pool,
}
# And one that has no more than the results of runs.
LOOKS_UP: dict[str, Callable[[], Any]] = {"table": table}


def named(executors: Iterable[str]) -> list[Any]:
    slow = [pytest.mark.ray, pytest.mark.slow]
    return [pytest.param(name, marks=slow if name == "ray" else []) for name in executors]


@pytest.fixture(scope="module", params=named(EXECUTORS))
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with (EXECUTORS | LOOKS_UP)[request.param]() as opened:
        yield opened


any_executor = pytest.mark.parametrize("executor", named(EXECUTORS | LOOKS_UP), indirect=True)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "model").write_text("7")
    return tmp_path / "kept"


def job(folder: Path, seed: int, **changes: Any) -> Job:
    spec = trainers.uniform_spec(seed)
    runtime = Runtime(data_dir=str(folder), checkpoint_dir=str(folder / spec.run_id))
    return Job(spec=spec, role=Role("base"), runtime=runtime, **changes)


def evaluation(model: Path, *names: str) -> Evaluation:
    return Evaluation(
        run_id="m", folder=model, content="m", tasks=tuple(map(task, names)), runtime=EvalRuntime(device="cpu")
    )


def done(executor: Executor, *jobs: Job | Evaluation) -> tuple[list[Ended], list[Event]]:
    """What each of `jobs` gave, in their order, and what was told."""
    events: list[Event] = []
    pairs = list(executor.run(jobs, events.append))
    assert len(pairs) == len(jobs), "each job comes back once"
    return [next(ended for one, ended in pairs if one is asked) for asked in jobs], events


def retries(events: list[Event]) -> list[str]:
    return [event.message for event in events if event.kind == "retry"]


def scores(ended: Ended) -> dict[str, float | str | None]:
    return {one.task: one.scores[0].value if one.scores else one.error for one in ended.outcomes}


def test_each_job_comes_back_with_what_it_gave(executor: Executor, tmp_path: Path, model: Path) -> None:
    jobs = [job(tmp_path, 0), job(tmp_path, 1, keep=True), job(tmp_path, 2, tasks=(task("one"), task("three")))]
    ended, events = done(executor, *jobs, evaluation(model, "one", "three"))
    assert [one.result for one in ended] == [*(trainers.law(one.spec, one.runtime) for one in jobs), None]
    assert [scores(one) for one in ended] == [{}, {}, {"one": 0.05, "three": 0.07}, {"one": 0.1, "three": 0.12}]
    kept = [(Path(one.runtime.checkpoint_dir or "") / "final").exists() for one in jobs]
    assert kept == [False, True, True], "where it is kept, or where it lies to be evaluated"
    assert sorted(e.run_id for e in events if e.kind == "started") == sorted(["m", *(one.run_id for one in jobs)])
    assert {e.tokens for e in events if e.kind == "progress"} <= {0, 512}


def test_what_raises_is_tried_again_and_given_up_and_the_others_go_on(
    executor: Executor, tmp_path: Path, model: Path
) -> None:
    jobs = [job(tmp_path, seed) for seed in (7, 8, 0)]
    tasks = [evaluation(model, name) for name in ("bad", "shy", "good")]
    ended, events = done(executor, *jobs, *tasks)
    assert [one.result and one.result.status for one in ended[:3]] == ["failed", "finished", "finished"]
    assert ended[0].result
    assert ended[0].result.error == "ValueError: seed 7 is not any good"
    assert [scores(one) for one in ended[3:]] == [
        {"bad": "given up after 3 attempts (RuntimeError: not today)"},
        {"shy": 0.1},
        {"good": 0.11},
    ]
    assert sorted(retries(events)) == [
        *["RuntimeError: not today"] * 3,
        *["ValueError: seed 7 is not any good"] * 2,
        "ValueError: seed 8 is not any good",
    ]


def test_an_evaluation_that_breaks_loses_no_training(executor: Executor, tmp_path: Path) -> None:
    ((ended,), events) = done(executor, job(tmp_path, 0, tasks=(task("good"), task("bad"))))
    assert ended.result
    assert ended.result.status == "finished"
    assert scores(ended) == dict.fromkeys(("good", "bad"), "RuntimeError: not today")
    assert not retries(events)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda folder, _: job(folder, 13), DataError, "truncated"),
        (lambda folder, _: job(folder, 14), StoreError, r"disk full while run \w+ wrote step-3\.pt; free some space"),
        (lambda _, model: evaluation(model, "fatal"), DataError, "of no use"),
    ],
)
def test_an_error_that_concerns_every_job_ends_it(
    executor: Executor,
    tmp_path: Path,
    model: Path,
    make: Callable[[Path, Path], Job | Evaluation],
    kind: type[MixoptError],
    message: str,
) -> None:
    with pytest.raises(kind, match=message):
        done(executor, make(tmp_path, model))


@any_executor
def test_a_run_comes_back_with_its_result_or_as_failed_and_the_others_go_on(executor: Executor, tmp_path: Path) -> None:
    jobs = [job(tmp_path, seed) for seed in (0, 7, 1)]  # nobody can do the second
    ended, _ = done(executor, *jobs)
    law = [trainers.law(one.spec, one.runtime) for one in jobs]
    assert [ended[0].result, ended[2].result] == [law[0], law[2]]
    assert ended[1].result
    assert (ended[1].result.run_id, ended[1].result.status) == (jobs[1].run_id, "failed")
    assert ended[1].result.error
    assert not ended[1].result.losses()


@any_executor
def test_nothing_more_is_begun_once_it_is_closed(executor: Executor, tmp_path: Path) -> None:
    jobs = [job(tmp_path, seed) for seed in range(30, 36)]
    with contextlib.closing(executor.run(jobs, lambda _: None)) as results:
        assert next(results)[0] in jobs
    assert not (tmp_path / jobs[-1].run_id).exists()
    assert done(executor) == ([], [])
    assert done(executor, jobs[-1])[0][0].result, "and it can be used again"
    assert executor.workers() >= 1


@pytest.mark.parametrize("executor", [pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.slow])], indirect=True)
def test_a_job_whose_worker_is_killed_is_done_by_another(executor: Executor, tmp_path: Path, model: Path) -> None:
    ended, events = done(executor, job(tmp_path, 9), evaluation(model, "deadly"), evaluation(model, "good"))
    assert ended[0].result
    assert ended[0].result.status == "finished"
    assert [scores(one) for one in ended[1:]] == [{"deadly": 0.13}, {"good": 0.11}]
    assert len(retries(events)) == 2
    assert all("the worker's process died" in reason for reason in retries(events))
