"""Arguments and options that several commands share."""

import sys
from typing import Annotated

import typer

from cast.errors import UsageMistake

Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The agent.", show_default=False)]
InvocationId = Annotated[str, typer.Argument(metavar="ID", help="inv_…", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100, help="How many to list.")]
Offset = Annotated[int, typer.Option("--offset", min=0, help="How many to pass over.")]


def ask_secret(what: str, option: str) -> str:
    """Return what is typed without echo. Raises `UsageMistake` where nobody can type."""
    if not sys.stdin.isatty():
        raise UsageMistake(
            f"no {what} given, and there is no terminal to ask on", f"pipe it in with {option}"
        )
    return str(typer.prompt(what[:1].upper() + what[1:], hide_input=True, err=True))


def read_secret(what: str) -> str:
    """Return stdin as UTF-8 text without its last line end. Raises `UsageMistake` when nothing is left."""
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise UsageMistake(f"the {what} on stdin is not UTF-8 text") from error
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise UsageMistake(f"stdin holds no {what}")
    return text


def confirm(question: str, *, force: bool) -> None:
    """Return when the user agrees. Raises `UsageMistake` where nobody can answer, `typer.Exit` on no."""
    if force:
        return
    if not sys.stdin.isatty():
        raise UsageMistake(
            "this cannot be undone, and there is no terminal to ask on", "say --force to do it"
        )
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)
