"""`cast login`, `logout` and `whoami`: which platform, and as whom."""

from typing import Annotated

import typer

from cast import configuration, console
from cast.api import Api, is_loopback
from cast.configuration import Connection
from cast.errors import UsageMistake
from cast.options import AsJson, ask_secret, read_secret


def login(
    api_url: Annotated[
        str | None, typer.Option("--api-url", metavar="URL", help="The platform; kept from the last login.")
    ] = None,
    key_stdin: Annotated[bool, typer.Option("--key-stdin", help="Read the API key from stdin.")] = False,
    no_browser: Annotated[  # noqa: ARG001 - it says what is the case anyway
        bool, typer.Option("--no-browser", help="Open no browser. None is ever opened: it is for scripts.")
    ] = False,
) -> None:
    """Keep an API key in ~/.castari.

    It is checked first. The files are readable by you alone.
    """
    url = configuration.normalized(api_url) if api_url else configuration.known_url()
    if not url:
        raise UsageMistake("which platform?", "say `cast login --api-url URL`")
    if url.startswith("http:") and not is_loopback(url):
        console.warn(f"{url} is not encrypted: everyone on the way can read the key")
    key = read_secret("API key") if key_stdin else ask_secret("API key", "--key-stdin")
    connection = Connection(url, key.strip())
    with Api(connection) as api:
        me = api.get("/auth/me")
    configuration.store(connection)
    console.note(f"logged in to {url} as {me['email']}")


def logout() -> None:
    """Forget the stored API key. It stays valid: `cast apikey revoke` ends it."""
    console.note("logged out" if configuration.forget() else "there was no stored key")


def whoami(as_json: AsJson = False) -> None:
    """Show the user, the key's prefix and the platform."""
    connection = configuration.connection()
    with Api(connection) as api:
        me = api.get("/auth/me")
    if as_json:
        console.result_json(me)
    else:
        console.result(f"{me['email']}  {me['api_key_prefix']}  {connection.api_url}")
