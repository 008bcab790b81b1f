"""Write docs/options.md from the methods' own settings: `python docs/make_options.py`."""

from __future__ import annotations

from pathlib import Path

from mixopt.methods.method import told
from mixopt.methods.registry import METHODS, method_named
from mixopt.study.template import value_of

HEAD = """# Options of the methods

What may stand in the section `method:` of a study file, by method. Each is a flag of its command as well
(`mixopt search --method adso --help`, say, shows the usual ones, the others are taken too), and
`--set method.KEY=VALUE` sets any. `mixopt init adso.yaml --method adso` writes a file with all of them. A law of a
swarm (`loglinear`, `gp` and the like, or `module:Class`) has the options of `auto`. This page is made by
`python docs/make_options.py`.

"""


def page() -> str:
    """The page's text."""
    parts = [HEAD]
    for name in METHODS:
        method = method_named(name)
        parts.append(f"## {name}\n\n`mixopt {method.command_line}`: {method.summary}.\n\n")
        parts.append("| key | default | |\n|---|---|---|\n")
        for key, field in method.Settings.model_fields.items():
            if key != "name":
                note = "" if told(field).identity else " It changes no answer."
                parts.append(f"| `{key}` | `{value_of(field)}` | {field.description}{note} |\n")
        parts.append("\n")
    return "".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("options.md").write_text(page(), encoding="utf-8")
