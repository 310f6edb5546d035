"""Pages that are generated when the site is built: configuration, command line, errors, and the documents of the root.

MkDocs runs this as a hook. Nothing here is written to disk; a page is what the code says at that moment.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import typer  # noqa: E402
import typer.main  # noqa: E402
from pydantic import BaseModel  # noqa: E402
from pydantic.fields import FieldInfo  # noqa: E402

from pylfr import errors  # noqa: E402
from pylfr.cli import COMMANDS, command_line  # noqa: E402
from pylfr.deployment.config import Deployment  # noqa: E402

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

# Documents of the root that are pages of the site.
_DOCUMENTS = {
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "threat-model.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the site."""
    from mkdocs.structure.files import File

    for place, text in generated().items():
        files.append(File.generated(config, place, content=text))
    return files


def generated() -> dict[str, str]:
    """Every generated page, by its place in the site."""
    return {
        "reference/configuration.md": configuration(),
        "reference/cli.md": commands(),
        "reference/errors.md": error_kinds(),
        **{place: document(name) for name, place in _DOCUMENTS.items()},
    }


def document(name: str) -> str:
    """A document of the root, its links pointing into the site or to the repository."""

    def link(match: re.Match[str]) -> str:
        target = match[1]
        if target.startswith(("http://", "https://", "#")):
            return match[0]
        if target in _DOCUMENTS:
            return f"]({_DOCUMENTS[target]})"
        if target.startswith("docs/"):
            return f"]({target.removeprefix('docs/')})"
        return f"](https://github.com/pylfr/pylfr/blob/main/{target})"

    return re.sub(r"\]\(([^)]+)\)", link, (ROOT / name).read_text(encoding="utf-8"))


# Configuration


def configuration() -> str:
    """Every table and key of a deployment file."""
    lines = [
        "# Configuration",
        "",
        "A deployment file is TOML. `pylfr config check FILE` lists every mistake in one; `pylfr config schema` prints "
        "its JSON schema, from which editors complete and check. Paths are relative to the file; a recording in "
        "`source` is relative to the working directory. Secrets are given as `${NAME}`, the name of an environment "
        "variable, and never written down.",
        "",
    ]
    for name, kind in tables(Deployment):
        lines += [f"## {name}", "", _cell(inspect.cleandoc(kind.__doc__ or "")), ""]
        lines += ["| key | meaning | type | default |", "|---|---|---|---|"]
        lines += [_row(key, field) for key, field in kind.model_fields.items() if not _tables_of(field)]
        lines.append("")
    return "\n".join(lines)


def tables(kind: type[BaseModel], name: str = "Top level") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every table below ``kind``, each with its heading."""
    yield name, kind
    for key, field in kind.model_fields.items():
        place = key if name == "Top level" else f"{name.strip('[]')}.{key}"
        found = _tables_of(field)
        for each in found:
            suffix = f' type = "{get_args(each.model_fields["type"].annotation)[0]}"' if len(found) > 1 else ""
            heading = f"[[{place}]]{suffix}" if _is_list(field) else f"[{place}{_named(field)}]"
            yield from tables(each, heading)


def _tables_of(field: FieldInfo) -> list[type[BaseModel]]:
    def below(annotation: object) -> Iterator[type[BaseModel]]:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        for each in get_args(annotation):
            if not isinstance(each, str | FieldInfo):
                yield from below(each)

    return list(below(field.annotation))


def _named(field: FieldInfo) -> str:
    return ".NAME" if get_origin(field.annotation) is dict else ""


def _is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple


def _row(key: str, field: FieldInfo) -> str:
    if field.is_required():
        default = "required"
    else:
        value = field.get_default(call_default_factory=True)
        default = "" if value is None or value == () or value == {} else f"`{_toml(value)}`"
    meaning = _cell(field.description or "")
    return f"| `{key}` | {meaning} | {_type(field.annotation)}{_bounds(field)} | {default} |"


def _type(annotation: object) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(_type(each) for each in arguments if each is not NoneType)
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if origin is frozenset:
        return f"list: {_type(arguments[0])}"
    if origin is dict:
        return f"table: name = {_type(arguments[1])}"
    if origin is tuple:
        return "polygon" if _type(arguments[0]) == "list: number" else f"list: {_type(arguments[0])}"
    names: Mapping[object, str] = {
        str: "text", bool: "true or false", int: "whole number", float: "number", Path: "path",
    }  # fmt: skip
    if annotation in names:
        return names[annotation]
    return "time" if getattr(annotation, "__name__", "") == "datetime" else str(annotation)


def _bounds(field: FieldInfo) -> str:
    words = {"Ge": "at least", "Gt": "above", "Le": "at most", "Lt": "below"}
    parts = []
    for each in field.metadata:
        word = words.get(type(each).__name__)
        if word is not None:
            value = next(getattr(each, name) for name in ("ge", "gt", "le", "lt") if hasattr(each, name))
            parts.append(f"{word} {value:g}")
    return f", {' and '.join(parts)}" if parts else ""


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else f"{value:g}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")


# Command line


def commands() -> str:
    """Every command with its arguments and options."""
    root: Any = typer.main.get_command(command_line())
    lines = [
        "# Command line",
        "",
        "`pylfr --help` lists the commands, `pylfr COMMAND -h` explains one, `pylfr --install-completion` teaches your "
        "shell to complete them. Exit status: 0 done, 1 refused or failed (one line on stderr says why), 2 usage.",
        "",
    ]
    context = typer.Context(root)
    for name in COMMANDS:
        command = root.get_command(context, name)
        lines += [f"## pylfr {name}", ""]
        if hasattr(command, "commands"):
            lines += [_cell(COMMANDS[name].line), ""]
            for child in command.commands.values():
                lines += [f"### pylfr {name} {child.name}", "", *_command(f"pylfr {name} {child.name}", child)]
        else:
            lines += _command(f"pylfr {name}", command)
    return "\n".join(lines)


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and each.name != "help"]
    usage = " ".join(_argument(each) for each in arguments)
    yield from ("```text", f"{name} {'[OPTIONS] ' if options else ''}{usage}".rstrip(), "```", "")
    yield from (inspect.cleandoc(command.help or "").replace("``", "`"), "")
    if arguments or options:
        yield from ("| | meaning | default |", "|---|---|---|")
        for each in (*arguments, *options):
            names = " ".join(f"`{option}`" for option in each.opts) if each in options else f"`{_argument(each)}`"
            yield f"| {names} | {_cell(getattr(each, 'help', '') or '')} | {_default(each)} |"
        yield ""


def _argument(parameter: Any) -> str:
    name = (parameter.name or "").upper()
    many = "..." if parameter.nargs == -1 else ""
    return f"{name}{many}" if parameter.required else f"[{name}]{many}"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if parameter.default is None or parameter.default is False or parameter.default == "":
        return ""
    return f"`{parameter.default}`"


# Errors


def error_kinds() -> str:
    """Every kind of error, with what it means."""
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and kind.__module__ == errors.__name__]
    lines = [
        "# Errors",
        "",
        "pylfr raises few kinds of error, all exported at the top of the package. Each message names the value, the "
        "expectation and the fix. On the command line it is one line on stderr, and the exit status is 1. Arguments of "
        "a wrong shape or type raise the built-in `ValueError` and `TypeError`.",
        "",
        "| error | is a | meaning |",
        "|---|---|---|",
        *(f"| `pylfr.{kind.__name__}` | `{kind.__bases__[0].__name__}` | {kind.__doc__} |" for kind in kinds),
        "",
    ]
    return "\n".join(lines)
