"""Bundles that were good once: cut, changed, prolonged. They may be accepted or refused, never crash."""

import gzip
import random

from tests.archives import hostile_tar, hostile_zip, well_formed
from tests.archives.packing import Case


def case(rng: random.Random) -> Case:
    """Return one bundle; whether it is accepted is not asked."""
    makers = (well_formed.case, hostile_tar.case, hostile_zip.case)
    content = bytearray(rng.choice(makers)(rng).content)
    inside = rng.random() < 0.6 and content.startswith(b"\x1f\x8b") and len(content) < 100_000
    if inside:
        content = bytearray(gzip.decompress(bytes(content)))
    for _ in range(rng.choice([1, 1, 2, 8])):
        _damage(rng, content)
    damaged = gzip.compress(bytes(content), 1, mtime=0) if inside else bytes(content)
    return Case("damaged", damaged, accepted=False)


def _damage(rng: random.Random, content: bytearray) -> None:
    at = rng.randrange(max(1, len(content)))
    match rng.randrange(5):
        case 0:
            del content[at:]
        case 1:
            content[at:at] = rng.randbytes(rng.randint(1, 600))
        case 2:
            content += rng.randbytes(rng.randint(1, 2_000))
        case 3:
            del content[at : at + rng.randint(1, 600)]
        case _:
            content[at : at + 1] = bytes([rng.randrange(256)])
