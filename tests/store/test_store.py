"""The results table keeps runs exactly, replaces only unfinished ones, and hands them out as arrays and frames."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixopt.results
from mixopt.errors import StoreError
from mixopt.presets import model_spec
from mixopt.result import DomainResult, RunResult
from mixopt.role import Role
from mixopt.store import Store, export_runs, import_runs
from mixopt.store.runs_csv import read_runs
from mixopt.train.device import Runtime
from tests.execute.trainers import DOMAINS, law, make_spec

if TYPE_CHECKING:
    from pathlib import Path

    from mixopt.spec import RunSpec

WHERE = Runtime(data_dir="nowhere")


def finished(spec: RunSpec) -> RunResult:
    return law(spec, WHERE)


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path / "results") as opened:
        yield opened


def test_a_run_comes_back_as_it_was_recorded(store: Store) -> None:
    spec = make_spec()
    assert store.record(spec, finished(spec))
    assert store.get(spec.run_id) == (spec, finished(spec))


def test_a_finished_row_is_never_replaced(store: Store) -> None:
    spec = make_spec()
    store.record(spec, finished(spec))
    assert not store.record(spec, replace(finished(spec), tokens=1, curve={}))
    assert store.get(spec.run_id)[1] == finished(spec)


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_an_unfinished_row_gives_way_to_a_finished_one(store: Store, status) -> None:
    spec = make_spec()
    store.record(spec, replace(finished(spec), status=status, domains={}, error="killed"))
    assert not store.has_finished(spec.run_id)
    assert len(store.history()) == 0
    assert store.record(spec, finished(spec))
    assert store.get(spec.run_id)[1] == finished(spec)


def test_a_result_of_another_spec_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="do not belong together"):
        store.record(make_spec(seed=1), finished(make_spec(seed=2)))


def test_history_holds_the_asked_runs_in_the_asked_order(store: Store) -> None:
    specs = [make_spec(seed=seed) for seed in range(4)]
    for spec in specs:
        store.record(spec, finished(spec))
    wanted = [specs[2].run_id, "unknown", specs[0].run_id]
    history = store.history(wanted)
    assert history.runs == (specs[2].run_id, specs[0].run_id)
    assert history.domains == history.eval_domains == DOMAINS
    assert history.seeds.tolist() == [2, 0]
    assert history.tokens_seen.tolist() == [[256, 128, 128]] * 2
    assert history.losses[1].tolist() == list(finished(specs[0]).losses().values())


def test_runs_with_other_domains_do_not_make_a_history(store: Store) -> None:
    spec, other = make_spec(), make_spec(seed=1)
    data = replace(other.data, domains=("code", "prose", "poems"))
    other = replace(other, data=data)
    store.record(spec, finished(spec))
    result = finished(spec)
    renamed = dict(zip(data.domains, result.domains.values(), strict=True))
    store.record(other, replace(result, run_id=other.run_id, domains=renamed))
    with pytest.raises(StoreError, match=r"training domains.*legal.*poems"):
        store.history()


def test_the_frame_has_a_column_for_each_domain_and_number(store: Store, tmp_path: Path) -> None:
    spec = make_spec()
    store.record(spec, finished(spec))
    lost = make_spec(seed=1)
    store.record(lost, replace(finished(lost), status="failed", domains={}, curve={}, mixture={}))
    frame = mixopt.results.load(tmp_path / "results").set_index("run_id")
    row = frame.loc[spec.run_id]
    assert row["ppl.code"] == math.exp(row["loss.code"])
    assert row["epochs.prose"] == 0.128
    assert row[["w.code", "w.prose", "w.legal"]].tolist() == [0.5, 0.25, 0.25]
    assert np.isnan(frame.loc[lost.run_id, "loss.code"])


def masked_spec(**changes) -> RunSpec:
    return replace(make_spec(seed=9), model=model_spec("bert-nano", 64), objective="masked", **changes)


def test_losses_of_masked_and_causal_runs_never_share_a_column(store: Store, tmp_path: Path) -> None:
    causal, masked = make_spec(), masked_spec()
    for spec in (causal, masked):
        store.record(spec, finished(spec))
    frame = store.frame().set_index("objective")
    for domain in DOMAINS:
        for kind in ("loss", "ppl", "train_loss"):
            assert math.isnan(frame.loc["masked", f"{kind}.{domain}"])
            assert math.isnan(frame.loc["causal", f"masked_{kind}.{domain}"])
        assert frame.loc["masked", f"masked_loss.{domain}"] == finished(masked).domains[domain].loss
        assert frame.loc["causal", f"loss.{domain}"] == finished(causal).domains[domain].loss
    assert not [name for name in store.frame([causal.run_id]) if name.startswith("masked_")]
    means = [(row["mean_loss"] is None, row["mean_masked_loss"] is None) for row in store.rows()]
    assert means == [(False, True), (True, False)]
    with pytest.raises(StoreError, match="causal tokens against masked tokens"):
        store.history()
    whole_words = masked_spec(whole_word=True)
    store.record(whole_words, finished(whole_words))
    with pytest.raises(StoreError, match="masked tokens against masked whole words"):
        store.history([masked.run_id, whole_words.run_id])
    with pytest.raises(StoreError, match="cannot share a file"):
        export_runs(store, tmp_path / "both.csv")
    assert export_runs(store, tmp_path / "both.jsonl") == 3
    export_runs(store, tmp_path / "masked.csv", [masked.run_id])
    history, _ = read_runs(tmp_path / "masked.csv")
    np.testing.assert_array_equal(history.losses, store.history([masked.run_id]).losses)


def test_the_curve_holds_losses_and_the_trace_of_the_mixture(store: Store) -> None:
    spec = make_spec()
    store.record(spec, finished(spec))
    curve = store.curve(spec.run_id)
    assert curve["split"].tolist() == ["validation"] * 3 + ["mixture"] * 3
    assert curve["weight"].tolist()[3:] == [0.5, 0.25, 0.25]


def test_removed_runs_leave_neither_row_nor_curve(store: Store) -> None:
    spec, kept = make_spec(), make_spec(seed=1)
    for one in (spec, kept):
        store.record(one, finished(one))
    assert store.remove([spec.run_id, "unknown"]) == 1
    assert [row["run_id"] for row in store.rows()] == [kept.run_id]
    assert [path.stem for path in (store.folder / "curves").iterdir()] == [kept.run_id]


def test_rows_can_be_chosen_by_status_and_by_study(store: Store) -> None:
    specs = [make_spec(seed=seed) for seed in range(3)]
    for spec in specs:
        store.record(spec, finished(spec))
    roles = [(specs[1].run_id, Role("base")), (specs[1].run_id, Role("perturbed", "code", "code x3"))]
    store.save_study("cafe", "ddo", {"a": 1}, roles)
    assert [row["run_id"] for row in store.rows(study="cafe")] == [specs[1].run_id]
    assert store.rows(status="failed") == []
    assert store.studies()[0]["runs"] == roles


def test_a_unique_prefix_finds_a_run(store: Store) -> None:
    specs = [make_spec(seed=seed) for seed in range(30)]
    for spec in specs:
        store.record(spec, finished(spec))
    assert store.find(specs[3].run_id[:12].upper()) == specs[3].run_id
    twice = next(s.run_id[0] for s in specs if sum(o.run_id[0] == s.run_id[0] for o in specs) > 1)
    with pytest.raises(StoreError, match="could be any of"):
        store.find(twice)
    for nothing in ("xyz", ""):
        with pytest.raises(StoreError, match="is not in"):
            store.find(nothing)


def test_export_to_csv_has_the_columns_that_recommend_reads(store: Store, tmp_path: Path) -> None:
    spec = make_spec()
    store.record(spec, finished(spec))
    lost = make_spec(seed=1)
    store.record(lost, replace(finished(lost), status="failed", domains={}))
    assert export_runs(store, tmp_path / "runs.csv") == 1
    header, row = (tmp_path / "runs.csv").read_text().splitlines()
    assert header == "run,tokens,seed,params,w.code,w.prose,w.legal,loss.code,loss.prose,loss.legal"
    losses = finished(spec).losses()
    assert row == f"{spec.run_id},512,0,{spec.model.parameters},0.5,0.25,0.25," + ",".join(map(repr, losses.values()))


def test_export_to_csv_holds_the_weights_that_were_trained(store: Store, tmp_path: Path) -> None:
    spec = make_spec()
    result = finished(spec)
    first = replace(result.domains["code"], tokens_seen=result.domains["code"].tokens_seen + 64)
    store.record(spec, replace(result, tokens=576, domains={**result.domains, "code": first}))
    export_runs(store, tmp_path / "runs.csv")
    history, notes = read_runs(tmp_path / "runs.csv")
    assert notes == []
    assert history.tokens_seen == pytest.approx(store.history().tokens_seen, rel=1e-12)


numbers = st.floats(allow_nan=False, allow_infinity=False)
results = st.builds(
    dict,
    status=st.sampled_from(["finished", "diverged", "failed"]),
    tokens=st.integers(0, 2**60),
    flops=numbers,
    seconds=numbers,
    device=st.text(max_size=20),
    error=st.none() | st.text(max_size=20),
    versions=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
    domains=st.dictionaries(
        st.sampled_from([*DOMAINS, "only evaluated"]),
        st.builds(
            DomainResult,
            loss=st.none() | numbers,
            bits_per_byte=st.none() | numbers,
            train_loss=st.none() | numbers,
            tokens_seen=st.integers(0, 2**60),
            unique_tokens=st.integers(0, 2**60),
        ),
    ),
    curve=st.lists(numbers | st.just(math.inf), max_size=4),
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(parts=results, seed=st.integers(0, 2**31 - 1), packed=st.booleans())
def test_any_run_survives_recording_export_and_import(tmp_path_factory, parts, seed, packed) -> None:
    folder = tmp_path_factory.mktemp("round")
    spec = make_spec(seed=seed)
    losses = parts.pop("curve")
    curve = {
        "step": list(range(len(losses))),
        "tokens": [10 * i for i in range(len(losses))],
        "split": ["train"] * len(losses),
        "domain": ["code"] * len(losses),
        "loss": losses,
    }
    result = replace(finished(spec), **parts, curve=curve if losses else {})
    path = folder / ("runs.jsonl.gz" if packed else "runs.jsonl")
    with Store(folder / "here") as here, Store(folder / "there") as there:
        here.record(spec, result)
        links = [(spec.run_id, Role("perturbed", "code", "code x3"))]
        here.save_study("cafe", "ddo", {"x": 1}, links)
        assert here.get(spec.run_id) == (spec, result)
        export_runs(here, path)
        assert import_runs(there, path) == 1
        assert there.get(spec.run_id) == (spec, result)
        assert there.created(spec.run_id) == here.created(spec.run_id)
        assert [study["runs"] for study in there.studies()] == [[(spec.run_id, Role("perturbed", "code", "code x3"))]]
