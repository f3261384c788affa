"""Why a step did not succeed, in words for whoever deployed."""


class StepFailed(Exception):
    """A step failed: the reason, what to do, and the end of what a command printed."""

    def __init__(self, reason: str, remedy: str, tail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.remedy, self.tail = reason, remedy, tail
