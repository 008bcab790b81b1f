"""Flags of a method's command, made from the fields of its settings; the help of a command has its own method's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import typer

from mixopt.cli import common

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from mixopt.methods.method import Method, MethodSettings

PANEL = "The method"


def method_parameters(
    settings: type[MethodSettings], taken: Sequence[str] = (), *, trains: bool = True
) -> dict[str, inspect.Parameter]:
    """A parameter for each field, by the field's name.

    Args:
        trains: the command trains, so that fields about runs to be trained have a meaning.
    """
    from mixopt.methods.method import told

    return {
        name: _parameter(name, field)
        for name, field in settings.model_fields.items()
        if name != "name" and name not in taken and not _is_mapping(field) and (trains or not told(field).trains)
    }


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    from mixopt.methods.method import told

    tells = told(field)
    flags = tells.flags or [f"--{name.replace('_', '-')}"]
    if field.annotation is bool:
        # A flag that is not given leaves the file's value.
        flags = [f"{flag}/--no-{flag.removeprefix('--')}" for flag in flags]
    kind: Any = bool | None if field.annotation is bool else str | None
    option = typer.Option(*flags, help=_help(field), rich_help_panel=PANEL, show_default=False, hidden=not tells.shown)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option])


def _help(field: FieldInfo) -> str:
    """What the field says, and its default where that says something."""
    from mixopt.methods.method import told

    text = field.description or ""
    default = field.default
    if default is None or isinstance(default, bool) or "[" in text:
        return text
    shown = told(field).example.strip("[]") or (f"{default:g}" if isinstance(default, float) else str(default))
    return f"{text.removesuffix('.')} [{shown}]."


def _is_mapping(field: FieldInfo) -> bool:
    """Fields that no flag can hold: they are the file's."""
    kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if kind is not NoneType]
    return any(get_origin(kind) is dict for kind in kinds)


def command_of(
    run: Callable[..., None],
    method: Method[Any],
    documented: Callable[..., bool],
    fixed: dict[str, Any] | None = None,
    *,
    trains: bool = True,
) -> Callable[..., None]:
    """A command: the parameters of `run`, those of the method, and those of `documented`, whose help it has.

    Args:
        run: what it does; it gets the method's options as the dictionary `options`, by dotted key.
        documented: its docstring is the help; asked first with its own parameters, `options` and `given`, it says
            whether it has done all that there is to do.
    """
    fixed = fixed or {}
    own = dict(inspect.signature(documented, eval_str=True).parameters)
    general = dict(inspect.signature(run, eval_str=True).parameters)
    for name in ("options", "given"):
        own.pop(name, None)
        general.pop(name, None)
    general = {name: parameter for name, parameter in general.items() if name not in fixed}
    added = method_parameters(method.Settings, [*own, *general], trains=trains)

    def command(**given: Any) -> None:
        options = {f"method.{name}": given.pop(name) for name in added}
        mine = {name: given.pop(name) for name in own}
        if not documented(**mine, options=options, given=given):
            run(**given, **fixed, options=options)

    # The study file is the one argument without a flag; method flags come before the general ones.
    positional = {name: general.pop(name) for name in ("study_file",) if name in general}
    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in (*positional.values(), *own.values(), *added.values(), *general.values())
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__doc__ = documented.__doc__
    return command


def check_flags(command: Callable[..., None], method: Method[Any], arguments: Sequence[str]) -> None:
    """Refuse flags that other methods have, with the right one of this; what nobody knows is left to the parser.

    Raises:
        ConfigError: there is such a flag.
    """
    from mixopt.errors import ConfigError
    from mixopt.methods.method import told
    from mixopt.methods.registry import METHODS

    parameters = inspect.signature(command).parameters
    known = {f"--{name.replace('_', '-')}" for name in parameters} | {
        flag
        for parameter in parameters.values()
        for info in getattr(parameter.annotation, "__metadata__", ())
        # In an annotation the first name stands where the default would.
        for names in (getattr(info, "default", None), *(getattr(info, "param_decls", None) or ()))
        if isinstance(names, str)
        for flag in names.split("/")
    }
    for word in arguments:
        flag = word.partition("=")[0]
        if not flag.startswith("--") or flag in known:
            continue
        others = [
            name
            for name in METHODS
            for key, field in METHODS.get(name).Settings.model_fields.items()
            if flag in (told(field).flags or [f"--{key.replace('_', '-')}"])
        ]
        if others:
            raise ConfigError(
                f"{flag}: an option of {', '.join(others)} where they train, and this is {method.name}; "
                f"`mixopt init --method {method.name}` lists its options"
            )


def asked_method(arguments: Sequence[str], default: str) -> str:
    """The method that a command line names: by `--method`, else in its study file, else the default."""
    for place, word in enumerate(arguments):
        if word == "--method" and place + 1 < len(arguments):
            return arguments[place + 1]
        if word.startswith("--method="):
            return word.removeprefix("--method=")
    files = [word for word in arguments if word.endswith((".yaml", ".yml")) and not word.startswith("-")]
    return (common.method_in(files[0]) if files else None) or default
