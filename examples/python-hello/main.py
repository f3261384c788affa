"""Greets whoever the prompt names, in a frame as wide as the greeting."""

import os
import sys

from tabulate import tabulate


def answer(prompt: str) -> str:
    """Return the greeting in its frame."""
    greeting = f"{os.environ.get('GREETING', 'Hello')}, {prompt.strip()}!"
    return tabulate([[greeting]], tablefmt="grid")


print(answer(sys.stdin.read()))
