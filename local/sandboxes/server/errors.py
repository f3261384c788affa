"""Errors of the REST API: an HTTP status, and a message that says how to mend it."""

from aiohttp import web


class ApiError(Exception):
    """A request that failed in a way its caller should see."""

    def __init__(self, status: int, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers

    def to_response(self) -> web.Response:
        """The answer that both SDKs turn into an exception."""
        body = {"code": self.status, "message": self.message}
        return web.json_response(body, status=self.status, headers=self.headers)


class SandboxMissingError(ApiError):
    """No sandbox has this id (any more)."""

    def __init__(self, sandbox_id: str) -> None:
        super().__init__(404, f"sandbox {sandbox_id} not found: it was killed, or its time was over")


class UnreachableError(ApiError):
    """A sandbox's daemon can not be asked. The SDKs tell the two cases apart by words in the message."""

    def __init__(self, sandbox_id: str, message: str) -> None:
        # Both SDKs would ask again a few times; the answer can not change.
        super().__init__(502, message, headers={"Should-Retry": "false"})
        self.sandbox_id = sandbox_id

    @classmethod
    def gone(cls, sandbox_id: str) -> "UnreachableError":
        """It was killed, is paused, or never was."""
        return cls(sandbox_id, "The sandbox was not found")

    @classmethod
    def closed(cls, sandbox_id: str) -> "UnreachableError":
        """It runs, but nothing of it answers."""
        return cls(sandbox_id, "The sandbox is running but port is not open")

    def to_response(self) -> web.Response:
        """The proxy's own form of an error."""
        body = {"sandboxId": self.sandbox_id, "message": self.message, "code": self.status}
        return web.json_response(body, status=self.status, headers=self.headers)


def not_supported(what: str) -> ApiError:
    """Say that this server leaves a part of E2B out."""
    return ApiError(501, f"{what}: not supported by the local sandbox server")
