"""The pool of prepared jails: some fit any claim, others are settled already on what is asked for most."""

from collections import Counter, deque

from local.sandboxes.namespaces.cell import Cell
from local.sandboxes.namespaces.plans import Claim

_LATEST = 16
_OPEN_SHARE = 4
"""One jail of so many, and at least one, waits for a claim that nobody expects."""


class Demand:
    """The latest claims, from which the next ones are guessed."""

    def __init__(self) -> None:
        self._latest: deque[Claim] = deque(maxlen=_LATEST)

    def __contains__(self, claim: Claim) -> bool:
        return claim in self._latest

    def note(self, claim: Claim) -> None:
        """Learn that a jail was claimed."""
        self._latest.append(claim)

    def forget(self, *claims: Claim) -> None:
        """Expect these no more."""
        self._latest = deque((each for each in self._latest if each not in claims), maxlen=_LATEST)

    def standing_on(self, layer: str) -> list[Claim]:
        """Return the claims of a layer."""
        return [each for each in self._latest if layer in each.layers]

    def shares(self, jails: int) -> Counter[Claim]:
        """Divide jails among the claims that came more than once; those of rare claims are left over."""
        repeated = {claim: count for claim, count in Counter(self._latest).items() if count > 1}
        return Counter({claim: jails * count // len(self._latest) for claim, count in repeated.items()})


class Pool:
    """Jails that stand ready, each to be taken once."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._most_settled = max(0, size - max(1, size // _OPEN_SHARE))
        self._cells: list[Cell] = []
        self._demand = Demand()

    def __len__(self) -> int:
        return len(self._cells)

    @property
    def has_room(self) -> bool:
        """Whether it should hold more jails."""
        return len(self._cells) < self._size

    @property
    def is_low(self) -> bool:
        """Whether so few jails are left that the next requests might find none."""
        return len(self._cells) <= self._size // 4

    def add(self, cell: Cell) -> None:
        """Put a prepared jail in."""
        self._cells.append(cell)

    def take(self, claim: Claim) -> Cell | None:
        """Take out a jail that has settled on the claim, else an open one; none if there is neither."""
        self._demand.note(claim)
        while fitting := [cell for cell in self._cells if cell.claimed == claim] or self._open():
            if (cell := self._take_out(fitting[0])).lives:
                return cell
        return None

    def pop_unsettled(self) -> tuple[Cell, Claim] | None:
        """Take out a jail that should settle, with the claim to settle on, until `add` brings it back."""
        settled = Counter(cell.claimed for cell in self._cells if cell.claimed)
        missing = self._demand.shares(self._most_settled) - settled
        if not missing or len(self._cells) - settled.total() <= self._size - self._most_settled:
            return None
        return self._take_out(self._open()[0]), next(iter(missing))

    def pop_stale(self) -> Cell | None:
        """Take out a jail that has settled on what nobody asked for lately."""
        stale = [cell for cell in self._cells if cell.claimed and cell.claimed not in self._demand]
        return self._take_out(stale[0]) if stale else None

    def forget(self, claim: Claim) -> None:
        """Expect a claim no more: what has settled on it is stale from now on."""
        self._demand.forget(claim)

    def forsake(self, layer: str) -> None:
        """Expect no more claims of a layer: what has settled on it is stale from now on."""
        self._demand.forget(*self._demand.standing_on(layer))

    def clear(self) -> None:
        """Hold none of the jails any longer."""
        self._cells.clear()

    def _open(self) -> list[Cell]:
        return [cell for cell in self._cells if cell.claimed is None]

    def _take_out(self, cell: Cell) -> Cell:
        self._cells.remove(cell)
        return cell
