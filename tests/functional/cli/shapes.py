"""Answers of the platform in its own public shapes, so that the fake cannot drift away from it."""

from typing import Any

from castari.schemas.agents import AgentResponse
from castari.schemas.invocations import InvocationResponse, OutputResponse
from castari.schemas.logs import LogResponse

_THEN, _LATER = "2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z"
_AGENT: dict[str, object] = {
    "id": "agent_1", "user_id": "user_1", "name": "Hello", "slug": "hello", "description": None,
    "source_type": "local", "git_repo_url": None, "git_branch": None, "source_hash": None,
    "default_model": None, "max_turns": None, "timeout_seconds": None, "warm": None, "callback_url": None,
    "status": "draft", "status_message": None, "sandbox_id": None, "active_version": None,
    "created_at": _THEN, "updated_at": _THEN,
}  # fmt: skip
_INVOCATION: dict[str, object] = {
    "invocation_id": "inv_1", "session_id": "sess_1", "sandbox_id": "sbx_1", "truncated": False,
    "response_content": "Hello, Ada!\n", "response_is_base64": False, "input_tokens": 0, "output_tokens": 0,
    "total_cost_usd": 0.0, "duration_ms": 12, "queue_ms": 2, "start_ms": 1, "run_ms": 10, "finish_ms": 1,
    "sandbox_seconds": 0.012,
    "status": "completed", "failure": None, "stderr_tail": None,
    "notice": None, "callback": None,
    "created_at": _THEN, "finished_at": _LATER,
}  # fmt: skip
ME = {"id": "user_1", "email": "ada@example.com", "api_key_prefix": "cast_abcdefgh", "created_at": _THEN}


def agent(**changes: object) -> dict[str, Any]:
    return AgentResponse.model_validate(_AGENT | changes).model_dump(mode="json")


def invocation(**changes: object) -> dict[str, Any]:
    return InvocationResponse.model_validate(_INVOCATION | changes).model_dump(mode="json")


def failed(code: str, message: str, remedy: str = "", **changes: object) -> dict[str, Any]:
    failure: dict[str, object] = {"code": code, "message": message, "remedy": remedy}
    failure |= {name: changes.pop(name) for name in ("exit_code", "signal") if name in changes}
    return invocation(**({"status": "failed", "response_content": None} | changes), failure=failure)


def log(**changes: object) -> dict[str, Any]:
    """The log of an invocation that printed `one` on stderr and failed."""
    made: dict[str, object] = {
        "invocation_id": "inv_1", "status": "failed", "attempt": 1, "stderr": "one",
        "stderr_is_base64": False, "stderr_bytes": 3, "truncated": False, "notice": None,
        "events": [
            {"at": _THEN, "event": "accepted", "detail": None},
            {"at": "2026-01-02T03:04:05.678901Z", "event": "agent_exited", "detail": "exit code 3"},
        ],
    }  # fmt: skip
    return LogResponse.model_validate(made | changes).model_dump(mode="json")


def part(content: str, offset: int = 0, **changes: object) -> dict[str, Any]:
    """A part of what an agent prints; the last one unless told otherwise."""
    made: dict[str, object] = {
        "status": "completed", "offset": offset, "next_offset": offset + len(content.encode()),
        "content": content, "is_base64": False, "done": True,
    }  # fmt: skip
    return OutputResponse.model_validate(made | changes).model_dump(mode="json")
