"""Generate ``command-line.md`` from the click commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from catalog.cli import cli
from docs.generate_reference.markdown import anchor, bullet, code, escape, fence, front, sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["every_command", "page"]

_INTRO = """\
`catalog COMMAND --help` prints the same text. Results are written to standard output, messages to standard error.
[Configuration](configuration.md#environment-variables) lists the environment variables.

Exit codes: 0 success; 1 failure, or a failed check, explained on standard error (see [errors](errors.md)); 2 invalid
command line, or missing extra. Every command accepts `-h` and `--help`."""


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Yield each command with its full name, groups before their subcommands."""
    yield from _walk("catalog", cli)


def _walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for word, inner in command.commands.items():
            yield from _walk(f"{name} {word}", inner)


def page() -> str:
    """Return the page as Markdown."""
    everything = list(every_command())
    parts = front("Command line", _INTRO, "`catalog/cli`")
    parts.append("")
    for name, command in everything:
        summary = (command.help or "").strip().splitlines()[0]
        parts.append(f"- [`{name}`](#{anchor(name)}): {escape(summary)}")
    for name, command in everything:
        parts += ["", f"## `{name}`", "", *_command(name, command)]
    return "\n".join(parts) + "\n"


def _command(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    # click's \b keeps the line ends of a paragraph in the terminal; examples keep theirs here anyway.
    text, _, example = (command.help or "").replace("\b", "").partition("Example: ")
    for paragraph in text.strip().split("\n\n"):
        yield escape(" ".join(line.strip() for line in paragraph.splitlines()))
        yield ""
    yield fence(" ".join([name, *command.collect_usage_pieces(context)]), "text")
    if example:
        yield from ("", "Example:", "", fence("\n".join(filter(None, map(str.strip, example.splitlines()))), "sh"))
    options = [one for one in command.params if isinstance(one, click.Option)]
    if options:
        yield ""
        yield from (_option(one) for one in options)


def _option(option: click.Option) -> str:
    value = "" if option.is_flag else f" {option.metavar or _kind(option.type)}"
    head = ", ".join(code(f"{word}{value}" if word == option.opts[-1] else word) for word in option.opts)
    return bullet(head, escape(option.help or ""), *_facts(option))


def _facts(option: click.Option) -> Iterator[str]:
    if isinstance(option.type, click.Choice):
        yield sentences("One of " + ", ".join(code(choice) for choice in option.type.choices))
    elif isinstance(option.type, click.IntRange | click.FloatRange):
        yield _range(option.type)
    if option.multiple and "repeatable" not in (option.help or "").lower():
        yield "Repeatable."
    default = option.to_info_dict()["default"]
    if isinstance(option.show_default, str):  # of a default that is found out, such as the first file there is
        yield f"Default: {code(option.show_default)}."
    elif option.show_default and default is not None:
        yield f"Default: {code(f'{default:g}' if isinstance(default, float) else default)}."
    if option.required:
        yield "Required."


def _range(kind: click.IntRange | click.FloatRange) -> str:
    if kind.max is None:
        return f"At least {kind.min:g}."
    return f"From {kind.min:g} to {kind.max:g}."


def _kind(kind: click.ParamType[Any]) -> str:
    if isinstance(kind, click.Path):
        return "DIR" if not kind.file_okay else "FILE"
    if isinstance(kind, click.IntRange | click.types.IntParamType):
        return "NUMBER"
    return "CHOICE" if isinstance(kind, click.Choice) else "TEXT"
