"""Names that other libraries do not promise to keep: each is listed here, and a test says which one is gone."""

from __future__ import annotations

import ast
import importlib
from functools import reduce
from importlib.metadata import version
from pathlib import Path

import pytest

import mixopt

pytestmark = pytest.mark.slow  # the libraries are imported

# Where the name is, and what for: what breaks first where it is gone.
PRIVATE = {
    "lm_eval.tasks._index:TaskIndex.build": "the index of lm-eval's tasks",
    "lm_eval.tasks._index:Kind.PY_TASK": "the index of lm-eval's tasks",
    "lm_eval.tasks._yaml_loader:load_yaml": "task files of your own",
    "ray._private.worker:_global_node": "folders of processes that train together",
    "ray._private.worker:print_to_stdstream": "Ray's prints beside JSON on standard output",
    "ray._raylet:AuthenticationTokenLoader.instance": "the password of a private Ray",
    "ray._raylet:Config.initialize": "the password of a private Ray",
    "transformers:PreTrainedModel._from_config": "masked models",
    "transformers:PreTrainedModel._no_split_modules": "sharded training",
    "transformers:Trainer._get_collator_with_removed_columns": "online mixtures in the Trainer",
}
LIBRARIES = {"lm_eval": "lm-eval"}
PACKAGE = Path(mixopt.__file__).parent


@pytest.mark.parametrize("name", PRIVATE)
def test_it_is_there(name: str) -> None:
    module, _, path = name.partition(":")
    library = LIBRARIES.get(module.partition(".")[0], module.partition(".")[0])
    try:
        reduce(getattr, path.split("."), importlib.import_module(module))
    except (ImportError, AttributeError):
        pytest.fail(f"{library} {version(library)} has no {module}.{path}, which {PRIVATE[name]} needs", pytrace=False)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def foreign_names() -> set[str]:
    """Private modules that the package imports from others, and private attributes that are not its own."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    own |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    found = {node.attr for node in nodes if isinstance(node, ast.Attribute) and is_private(node.attr)} - own
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("mixopt"):
            found |= {part for part in node.module.split(".") if is_private(part)}
            found |= {alias.name for alias in node.names if is_private(alias.name)}
    return found


def test_every_private_name_in_use_is_listed() -> None:
    listed = {part for name in PRIVATE for part in name.replace(":", ".").split(".")}
    assert foreign_names() - listed == set()
