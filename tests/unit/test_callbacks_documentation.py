"""The receiver of docs/invocations.md accepts what the platform signs, once, and nothing else."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from castari.adapters.signatures import new_secret, signature_headers

PAGE = (Path(__file__).parents[2] / "docs/invocations.md").read_text()
EVENT = {"type": "invocation.completed", "data": {"invocation_id": "inv_1", "response_content": "hello"}}


def test_the_receiver_of_the_page_does_what_it_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    secret, body, now = new_secret(), json.dumps(EVENT), datetime.now(UTC)
    monkeypatch.setenv("CASTARI_CALLBACK_SECRET", secret.get_secret_value())
    page: dict[str, Any] = {}
    exec(compile(source, "docs/invocations.md", "exec"), page)  # noqa: S102 - the page is ours
    headers = signature_headers([new_secret(), secret], message_id="inv_1", at=now, body=body)
    assert [page["receive"](headers, body.encode()) for _ in range(2)] == [204, 204]
    assert capsys.readouterr().out == "invocation.completed hello\n"
    forged = signature_headers([new_secret()], message_id="inv_1", at=now, body=body)
    late = signature_headers([secret], message_id="inv_1", at=now - timedelta(hours=1), body=body)
    assert [page["receive"](each, body.encode()) for each in (forged, late, {})] == [401, 401, 401]
    assert page["receive"](headers, body.replace("hello", "bye").encode()) == 401
