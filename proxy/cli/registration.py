"""Registration of commands in `crossfade`: groups, help panels, help texts, bundles of options.

Terms: a *panel* is a heading of `crossfade --help`. A *bundle* is a frozen dataclass of annotated options that several
commands share: a command takes it as one parameter, and users see its fields as options. A *default command* is the
one that a group runs if its first word is not a sub-command: `crossfade gates shop/orders` is `crossfade gates check
shop/orders`.

A command is a function with a docstring, decorated with `bundled` if it takes bundles. `finish` gives what the packages
have registered its panels, help texts and the names of the options' values.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import CommandInfo, OptionInfo, TyperInfo

PANELS: Final[Mapping[str, tuple[str, ...]]] = {
    "Set up": ("doctor", "migrate", "proxy"),
    "Move collections": (
        *("mirror", "shadow", "gates", "flip", "rollback", "promote", "demote", "complete"),
        *("stage", "auto-rollback", "acknowledge"),
    ),
    "Copy and verify": ("backfill", "verify", "repair", "out-of-band", "accounts", "archive"),
    "Comparison of reads": ("queries", "indexes", "mismatches", "tolerance", "sampling", "explain", "rehearsal"),
    "Inspect": ("status", "instances", "trace", "audit", "report"),
    "Local stack": ("dev", "demo"),
}
_ORDER: Final = tuple(name for names in PANELS.values() for name in names)
# what help shows for the value of an option: short, so that no column is cut off at 80 columns. A flag has no value
_VALUES: Final[Mapping[type, str]] = {bool: "", int: "N", float: "N", str: "TEXT", Path: "PATH"}


class HelpfulCommand(TyperCommand):
    """A command whose --help looks like every other flag."""

    def get_help_option(self, ctx: Any) -> Any:
        return _as_flag(super().get_help_option(ctx))


class Group(TyperGroup):
    """A group whose --help looks like every other flag."""

    def get_help_option(self, ctx: Any) -> Any:
        return _as_flag(super().get_help_option(ctx))


def _as_flag(option: Any) -> Any:
    if option is not None:
        option.metavar, option.help = "", "show this help"
    return option


class OrderedCommands(Group):
    """The commands in the order of `PANELS`; commands that no panel names come last."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(
            super().list_commands(ctx), key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER)
        )


def group(text: str, *, default: str = "", bare: bool = True) -> typer.Typer:
    """Return an empty group of commands with its help text.

    default: the sub-command that runs if the first word is not a sub-command. bare: it also runs without any word;
    otherwise the group's help is shown then.
    """

    class WithDefault(Group):
        default_command = default

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            if (bare and not args) or (args and args[0] not in self.commands and args[0] != "--help"):
                args = [default, *args]
            return super().parse_args(ctx, args)

    return typer.Typer(cls=WithDefault if default else Group, no_args_is_help=not (default and bare), help=text)


def finish(app: typer.Typer) -> None:
    """Put commands under their panels, and let help texts wrap at any width."""
    for command in app.registered_commands:
        _panel(command, str(command.name or getattr(command.callback, "__name__", "")))
    for inner in app.registered_groups:
        _panel(inner, inner.name or "")
    _each(app)


def _panel(info: CommandInfo | TyperInfo, name: str) -> None:
    for panel, names in PANELS.items():
        if name.replace("_", "-") in names:
            info.rich_help_panel = panel


def _each(app: typer.Typer) -> None:
    for command in app.registered_commands:
        command.cls = HelpfulCommand
        if command.callback is not None:
            command.help = help_text(command.help or command.callback.__doc__ or "")
            _name_values(command.callback)
    for inner in app.registered_groups:
        if inner.typer_instance is not None:
            if isinstance(inner.typer_instance.info.help, str):
                inner.typer_instance.info.help = help_text(inner.typer_instance.info.help)
            _each(inner.typer_instance)


def _name_values(command: Callable[..., Any]) -> None:
    """Name the values of the options that do not name theirs."""
    hints = get_type_hints(command, include_extras=True)
    command.__annotations__ = hints  # evaluated once: typer would evaluate texts again, into other options
    for hint in hints.values():
        kind, *about = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        for option in about:
            if isinstance(option, OptionInfo) and option.metavar is None:
                option.metavar = next((_VALUES[one] for one in (kind, *get_args(kind)) if one in _VALUES), None)


def help_text(text: str) -> str:
    """Return a help text as typer shows it best: `prose`, and an empty line more after the summary.

    Without that line typer removes the indentation of the examples if no other paragraph comes before them.
    """
    return prose(text).replace("\n\n", "\n\n\n", 1)


def prose(text: str) -> str:
    """Join the lines of each paragraph; indented lines (examples) stay lines. Pure."""
    return "\n\n".join(map(_joined, inspect.cleandoc(text).split("\n\n")))


def _joined(paragraph: str) -> str:
    lines: list[str] = []
    for line in paragraph.splitlines():
        if lines and not line.startswith(" ") and not lines[-1].startswith(" "):
            lines[-1] += f" {line}"
        else:
            lines.append(line)
    return "\n".join(lines)


def bundled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command: it takes the fields of its bundles, in place of the bundles, as keyword arguments."""
    hints = get_type_hints(function, include_extras=True)
    bundles = {name: kind for name, kind in hints.items() if inspect.isclass(kind) and is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in bundles:
            parameters += _fields_of(bundles[parameter.name])
        else:
            annotation = hints.get(parameter.name, parameter.annotation)
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotation))

    @functools.wraps(function)
    def call(**given: Any) -> Any:
        for name, kind in bundles.items():
            given[name] = kind(**{one.name: given.pop(one.name) for one in fields(kind)})
        return function(**given)

    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def _fields_of(bundle: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(bundle, include_extras=True)
    return [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if one.default is MISSING else one.default,
            annotation=hints[one.name],
        )
        for one in fields(bundle)
    ]
