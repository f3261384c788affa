"""What the server counts, in the text format that Prometheus reads."""

from collections import Counter

_HELP = {
    "castari_sandboxes_created_total": ("counter", "Sandboxes made."),
    "castari_sandboxes_ended_total": ("counter", "Sandboxes ended, by reason."),
    "castari_sandbox_create_seconds_total": ("counter", "Time spent making sandboxes."),
    "castari_sandboxes": ("gauge", "Sandboxes that exist now, by state."),
}


class Counters:
    """Numbers that only grow."""

    def __init__(self) -> None:
        self._values: Counter[tuple[str, str]] = Counter()
        self._seconds = 0.0

    def created(self, seconds: float) -> None:
        """Count a sandbox and how long it took."""
        self._values["castari_sandboxes_created_total", ""] += 1
        self._seconds += seconds

    def ended(self, reason: str) -> None:
        """Count an end."""
        self._values["castari_sandboxes_ended_total", f'{{reason="{reason}"}}'] += 1

    def to_text(self, states: Counter[str]) -> str:
        """All numbers, with how many sandboxes are in each state."""
        samples = [(name, labels, str(value)) for (name, labels), value in self._values.items()]
        samples += [("castari_sandbox_create_seconds_total", "", f"{self._seconds:.6f}")]
        samples += [
            ("castari_sandboxes", f'{{state="{state}"}}', str(states[state]))
            for state in ("running", "paused")
        ]
        return "".join(
            f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
            + "".join(f"{name}{labels} {value}\n" for each, labels, value in samples if each == name)
            for name, (kind, text) in _HELP.items()
        )
