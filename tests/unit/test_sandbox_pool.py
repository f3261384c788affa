"""The pool of prepared jails: what they settle on, that some stay open, and that each is taken once."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.sandboxes.engine import Limits
from local.sandboxes.namespaces.cell import Cell
from local.sandboxes.namespaces.cgroup_v2 import CgroupV2
from local.sandboxes.namespaces.plans import Claim, Plan
from local.sandboxes.namespaces.pool import Pool
from local.sandboxes.namespaces.zygote_client import Forked

PLAN = Plan(1, 1, "", "", "", "", 1500, "", "", "", Limits())


def claim(layer: str) -> Claim:
    return Claim((layer, "base"), Limits(), "none", {"PATH": "/bin"})


BUSY, QUIET, RARE = claim("busy"), claim("quiet"), claim("rare")


@pytest.fixture(scope="module")
def alive() -> Iterator[int]:
    pidfd = os.pidfd_open(os.getpid())
    yield pidfd
    os.close(pidfd)


def jail(pidfd: int, settled_on: Claim | None = None) -> Cell:
    nowhere = Path("/nowhere")
    with socket.socket() as unused:
        return Cell(PLAN, Forked(0, pidfd), unused, nowhere, CgroupV2(nowhere), claimed=settled_on)


def fill(pool: Pool, pidfd: int) -> None:
    """Do what is done in the background until nothing is left to do."""
    while True:
        if pool.has_room:
            pool.add(jail(pidfd))
        elif unsettled := pool.pop_unsettled():
            cell, wanted = unsettled
            cell.claimed = wanted
            pool.add(cell)
        elif not pool.pop_stale():
            return


def take_often(pool: Pool, pidfd: int, *claims: Claim, times: int = 16) -> None:
    for number in range(times):
        fill(pool, pidfd)
        assert pool.take(claims[number % len(claims)])
    fill(pool, pidfd)


def settled(pool: Pool, wanted: Claim) -> int:
    """How many jails that have settled on a claim can be taken; it empties the pool."""
    return sum(cell.claimed == wanted for cell in iter(lambda: pool.take(wanted), None) if cell)


def test_nothing_settles_before_a_claim_has_come_twice(alive: int) -> None:
    pool = Pool(4)
    fill(pool, alive)
    pool.take(BUSY)
    fill(pool, alive)
    assert settled(pool, BUSY) == 0


def test_all_but_a_quarter_settle_on_the_only_claim_there_is(alive: int) -> None:
    pool = Pool(12)
    take_often(pool, alive, BUSY)
    assert len(pool) == 12
    assert settled(pool, BUSY) == 9


def test_claims_that_take_turns_share_the_pool(alive: int) -> None:
    pool = Pool(12)
    take_often(pool, alive, BUSY, QUIET)
    assert pool.take(QUIET).claimed == QUIET  # type: ignore[union-attr]
    assert settled(pool, BUSY) == 4


def test_a_claim_that_nobody_expects_gets_a_jail_that_has_not_settled(alive: int) -> None:
    pool = Pool(4)
    take_often(pool, alive, BUSY)
    taken = pool.take(RARE)
    assert taken
    assert taken.claimed is None


def test_a_jail_that_settled_on_another_claim_is_never_given_out(alive: int) -> None:
    pool = Pool(4)
    take_often(pool, alive, BUSY)
    assert pool.take(RARE)
    assert pool.take(RARE) is None
    assert len(pool) == 3


def test_what_nobody_asked_for_lately_is_replaced(alive: int) -> None:
    pool = Pool(4)
    take_often(pool, alive, BUSY)
    take_often(pool, alive, QUIET)
    assert len(pool) == 4
    assert settled(pool, QUIET) == 3


def test_nothing_stays_settled_on_a_layer_that_is_to_go(alive: int) -> None:
    pool = Pool(4)
    take_often(pool, alive, BUSY, QUIET)
    pool.forsake("busy")
    while stale := pool.pop_stale():
        assert stale.claimed == BUSY
    fill(pool, alive)
    assert settled(pool, BUSY) == 0


def test_the_dead_are_not_given_out(alive: int) -> None:
    child = subprocess.Popen(["true"])
    ended = os.pidfd_open(child.pid)
    child.wait()
    pool = Pool(4)
    for pidfd in (ended, alive, ended):
        pool.add(jail(pidfd))
    taken = pool.take(BUSY)
    assert taken
    assert taken.forked.pidfd == alive
    assert pool.take(BUSY) is None
    os.close(ended)


@given(claims=st.lists(st.sampled_from([BUSY, QUIET, RARE]), max_size=60), size=st.integers(1, 8))
def test_whatever_is_asked_for_the_pool_fills_up_and_keeps_one_open(
    alive: int, claims: list[Claim], size: int
) -> None:
    pool = Pool(size)
    given_out: list[Cell] = []
    for wanted in claims:
        fill(pool, alive)
        taken = pool.take(wanted)
        assert taken
        assert taken.claimed in (None, wanted)
        assert taken not in given_out
        given_out.append(taken)
    fill(pool, alive)
    assert len(pool) == size
    unexpected = pool.take(claim("unexpected"))
    assert unexpected
    assert unexpected.claimed is None
