"""Marks of the tests that need real namespaces: one worker runs them all, as they share what they set up."""

import os

import pytest

ATTACKS = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.xdist_group("attack"),
    pytest.mark.timeout(600),
]
