"""The command line of Castari: deploy AI agents and invoke them."""

from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cast import console
from cast.commands import (
    account,
    agents,
    api_keys,
    callbacks,
    deploy,
    init,
    invocations,
    invoke,
    logs,
    secrets,
    sessions,
    usage,
    versions,
)
from cast.errors import CastError


class _Cast(TyperGroup):
    """The outermost group: an error ends here as a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  # the class of the context is private
        try:
            return super().invoke(ctx)
        except CastError as error:
            console.complain(error)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            console.note("interrupted")
            raise


def _show_version(wanted: bool) -> None:
    if wanted:
        console.result(f"cast {version('castari')}")
        raise typer.Exit


app = typer.Typer(
    cls=_Cast,
    name="cast",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def cast(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Deploy AI agents from a folder, and invoke them: every answer comes out of a fresh sandbox.

    Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage.
    """


app.command("init")(init.init)
app.command("deploy")(deploy.deploy)
app.command("invoke")(invoke.invoke)
app.command("logs")(logs.logs)
app.command("stop")(agents.stop)
app.add_typer(agents.app, name="agents")
app.add_typer(versions.app, name="versions")
app.command("rollback")(versions.rollback)
app.add_typer(secrets.app, name="secrets")
app.add_typer(callbacks.app, name="callbacks")
app.add_typer(invocations.app, name="invocations")
app.add_typer(sessions.app, name="sessions")
app.command("usage")(usage.usage)
app.add_typer(api_keys.app, name="apikey")
app.command("login")(account.login)
app.command("logout")(account.logout)
app.command("whoami")(account.whoami)
