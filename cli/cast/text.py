"""Numbers and times as people read them."""

_STEP = 1024


def byte_size(count: int) -> str:
    """Return 1536 as `1.5 KB`."""
    size = float(count)
    for unit in ("bytes", "KB", "MB"):
        if size < _STEP:
            return f"{size:.0f} {unit}" if unit == "bytes" or size.is_integer() else f"{size:.1f} {unit}"
        size /= _STEP
    return f"{size:.1f} GB"


def moment(text: str | None) -> str:
    """Return an ISO time as `2026-01-02 03:04:05Z`; a dash when there is none."""
    return f"{text[:10]} {text[11:19]}Z" if text else "-"


def moment_exactly(text: str) -> str:
    """Return an ISO time as `2026-01-02 03:04:05.678Z`."""
    fraction = text[19:].lstrip(".").rstrip("Z")
    return f"{text[:10]} {text[11:19]}.{fraction[:3]:0<3}Z"


def counted(count: int, noun: str) -> str:
    """Return `1 file`, `2 files`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
