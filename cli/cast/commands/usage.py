"""`cast usage`: how much was invoked, and what it cost."""

from typing import Annotated

import typer

from cast import configuration, console
from cast.api import Api
from cast.errors import Json
from cast.options import AsJson


def usage(
    days: Annotated[int, typer.Option("--days", "-d", min=1, max=365, help="How far back.")] = 30,
    daily: Annotated[bool, typer.Option("--daily", help="One line for each day.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show invocations, tokens and cost."""
    with Api(configuration.connection()) as api:
        if daily:
            show_days(api.list("/usage/daily", days=days), as_json=as_json)
        else:
            show_total(api.get(f"/usage?days={days}"), as_json=as_json)


def show_days(days: list[Json], *, as_json: bool) -> None:
    """Print one line for each day."""
    if as_json:
        console.result_json(days)
        return
    columns = ("date", "invocations", "input tokens", "output tokens", "cost")
    names = ("date", "invocation_count", "input_tokens", "output_tokens")
    console.table(columns, [(*(day[name] for name in names), _dollars(day["cost_usd"])) for day in days])


def show_total(total: Json, *, as_json: bool) -> None:
    """Print the sums of the period."""
    if as_json:
        console.result_json(total)
        return
    console.result(f"{total['period_start'][:10]} to {total['period_end'][:10]}")
    console.result(f"invocations:   {total['total_invocations']}")
    console.result(f"input tokens:  {total['total_input_tokens']}")
    console.result(f"output tokens: {total['total_output_tokens']}")
    console.result(f"cost:          {_dollars(total['total_cost_usd'])}")


def _dollars(amount: float) -> str:
    return f"${float(amount):.4f}"
