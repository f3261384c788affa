"""Attacks on the server from its clients' side: hostile requests, and files that a hostile agent prepared."""

from tests.attack.client import access, files, load, paths, requests
from tests.attack.client.attacks import ATTACKS, Attack

__all__ = ["ATTACKS", "Attack", "access", "files", "load", "paths", "requests"]
