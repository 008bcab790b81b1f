"""Items to a task that lm-eval reads: a YAML file and JSON lines beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from mixopt.evaluation import EvalTask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Raised when a change of the code changes items.
VERSION = 1.0


def multiple_choice(
    name: str, items: Sequence[Mapping[str, Any]], *, metrics: Sequence[str] = ("acc", "acc_norm"), **more: Any
) -> EvalTask:
    """A task that chooses among the endings of a context.

    Args:
        name: the task's name.
        items: rows with `context`, `endings`, which bring the space before them along, and `gold`.
        metrics: lm-eval's, the main one first.
        more: further keys of lm-eval's task file.
    """
    config = {"output_type": "multiple_choice", "doc_to_choice": "endings", "doc_to_target": "gold", **more}
    return _task(name, items, config, [(metric, "mean", True) for metric in metrics])


def last_word(name: str, items: Sequence[Mapping[str, Any]]) -> EvalTask:
    """A task as LAMBADA: the word after a context, right where greedy decoding gives it whole.

    Args:
        name: the task's name.
        items: rows with `context` and `word`, which brings its space along.
    """
    config = {"output_type": "loglikelihood", "doc_to_target": "word"}
    # Guessing finds none of the words.
    return _task(name, items, config, [("acc", "mean", True), ("perplexity", "perplexity", False)], chance=0.0)


def _task(
    name: str,
    items: Sequence[Mapping[str, Any]],
    config: Mapping[str, Any],
    metrics: Sequence[tuple[str, str, bool]],
    **metadata: Any,
) -> EvalTask:
    content = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": f"{name}.jsonl"}},
        "test_split": "test",
        "doc_to_text": "context",
        # By default a space is put before each answer; these have theirs.
        "target_delimiter": "",
        **config,
        "metric_list": [
            {"metric": metric, "aggregation": aggregation, "higher_is_better": better}
            for metric, aggregation, better in metrics
        ],
        "metadata": {"version": VERSION, "main": metrics[0][0], **metadata},
    }
    lines = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
    files = ((f"{name}.yaml", yaml.safe_dump(content, sort_keys=False).encode()), (f"{name}.jsonl", lines.encode()))
    return EvalTask(name=name, kind="harness", settings={"shots": 0, "limit": None}, files=files)
