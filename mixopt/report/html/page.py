"""The page: sections of words, tables and figures, put into the template with everything that it needs inside."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from mixopt.display.colours import COLOURS
from mixopt.errors import ConfigError
from mixopt.report.html.gather import Gathered, gather
from mixopt.report.html.page_sections import make_page
from mixopt.report.html.study_figures import run_details
from mixopt.version import __version__

if TYPE_CHECKING:
    from mixopt.store import Store


def write_report(store: Store, study_id: str | None = None, path: str | Path | None = None) -> Path:
    """Write a study's page, whole or not at all.

    Args:
        study_id: the study, or as much of its id's start as is unique; None for the latest.
        path: the file; None for `report.html` in the study's folder.

    Returns:
        The file.

    Raises:
        StoreError: there is no such study, or its files cannot be read.
        ConfigError: the page cannot be written.
    """
    from mixopt.files import write_atomic

    study = gather(store, study_id)
    path = Path(path) if path else store.folder / "studies" / study.study_id / "report.html"
    content = render(study)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    except OSError as error:
        raise ConfigError(f"report {path}: cannot be written ({error}); choose another file with --out") from error
    return path


def render(study: Gathered) -> str:
    """The page of a study as HTML."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("mixopt.report.html", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}  # in the order given, and valid JSON
    library = _script(get_plotlyjs())
    behaviour = _script(_file("page.js"))
    page = make_page(study)
    drawn = [(section, section.drawings) for section in page.sections]
    return environment.get_template("template.html").render(
        page=page,
        version=__version__,
        style=_file("style.css"),
        scripts=[library, behaviour],
        hashes=[_hash(library), _hash(behaviour)],
        sections=drawn,
        colours=COLOURS,
        figures={plot.name: plot.spec for _, drawings in drawn for drawing in drawings for plot in drawing.plots},
        details=run_details(study),
    )


def _file(name: str) -> str:
    return resources.files("mixopt.report.html").joinpath(name).read_text(encoding="utf-8")


def _script(text: str) -> str:
    """A script that can stand in a page: nothing in it ends the element."""
    return text.replace("</script", "<\\/script")


def _hash(script: str) -> str:
    """For the page's content security policy: only these scripts run, whatever a name in the data may hold."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
