"""What only a client of its own sees: raw requests, refused routes, old routes, slow and broken streams."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from e2b import Sandbox

from tests.conformance.conftest import Sdk
from tests.conformance.server import RunningServer

pytestmark = pytest.mark.local


def _frame(message: dict[str, Any]) -> bytes:
    payload = json.dumps(message).encode()
    return b"\0" + len(payload).to_bytes(4, "big") + payload


def _frames(body: bytes) -> list[tuple[int, Any]]:
    found = []
    while body:
        length = int.from_bytes(body[1:5], "big")
        found.append((body[0], json.loads(body[5 : 5 + length])))
        body = body[5 + length :]
    return found


@pytest.fixture
def sdk(sandbox_server: RunningServer) -> Sdk:
    """One flavour is enough where plain requests are the matter."""
    return Sdk(Sandbox, sandbox_server)


@pytest.fixture
def envd_headers(sandbox: Any) -> dict[str, str]:
    return {"E2b-Sandbox-Id": sandbox.sandbox_id, "X-Access-Token": sandbox._envd_access_token}


@pytest.fixture
def stream_headers(envd_headers: dict[str, str]) -> dict[str, str]:
    return {**envd_headers, "Content-Type": "application/connect+json", "Connect-Protocol-Version": "1"}


@pytest.mark.parametrize("path", ["/init", "/init/", "//init", "/%69nit", "/./init", "/x/../init", "/freeze"])
async def test_the_daemon_s_internal_routes_are_closed(
    http: httpx.AsyncClient, envd_headers: dict[str, str], path: str
) -> None:
    request = http.build_request("POST", "/", headers=envd_headers, json={"envVars": {"A": "injected"}})
    request.url = request.url.copy_with(raw_path=path.encode())
    answer = await http.send(request)
    assert answer.status_code == 404
    envs = await http.get("/envs", headers=envd_headers)
    assert envs.json() == {}


@pytest.mark.parametrize("token", [None, "", "wrong"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/process.Process/List"),
        ("POST", "/process.Process/Start"),
        ("POST", "/filesystem.Filesystem/Stat"),
        ("GET", "/files?path=a"),
        ("POST", "/files?path=a"),
        ("GET", "/envs"),
    ],
)
async def test_the_daemon_opens_with_the_sandbox_s_token_only(
    http: httpx.AsyncClient, envd_headers: dict[str, str], method: str, path: str, token: str | None
) -> None:
    headers = {"E2b-Sandbox-Id": envd_headers["E2b-Sandbox-Id"]}
    headers |= {} if token is None else {"X-Access-Token": token}
    assert (await http.request(method, path, headers=headers)).status_code == 401


async def test_one_sandbox_s_token_does_not_open_another(
    sdk: Sdk, sandbox: Any, http: httpx.AsyncClient
) -> None:
    other = await sdk.create()
    try:
        headers = {"E2b-Sandbox-Id": other.sandbox_id, "X-Access-Token": sandbox._envd_access_token}
        assert (await http.get("/envs", headers=headers)).status_code == 401
    finally:
        await sdk(other.kill)


async def test_the_api_key_does_not_open_a_daemon(
    http: httpx.AsyncClient, sandbox: Any, sandbox_server: RunningServer
) -> None:
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "X-API-KEY": sandbox_server.api_key}
    assert (await http.get("/envs", headers=headers)).status_code == 401


async def test_an_unknown_sandbox_is_502_with_its_id(http: httpx.AsyncClient) -> None:
    answer = await http.get("/health", headers={"E2b-Sandbox-Id": "i0"})
    assert answer.status_code == 502
    assert answer.json() == {"sandboxId": "i0", "message": "The sandbox was not found", "code": 502}


async def test_another_port_of_a_sandbox_is_not_open(
    http: httpx.AsyncClient, envd_headers: dict[str, str]
) -> None:
    answer = await http.get("/health", headers={**envd_headers, "E2b-Sandbox-Port": "8080"})
    assert answer.status_code == 502
    assert "port is not open" in answer.json()["message"]


async def test_the_routes_of_older_clients_work(
    http: httpx.AsyncClient, sandbox_server: RunningServer
) -> None:
    http.headers["X-API-KEY"] = sandbox_server.api_key
    made = (await http.post("/sandboxes", json={"templateID": "base", "allowInternetAccess": False})).json()
    path = f"/sandboxes/{made['sandboxID']}"
    try:
        assert (await http.post(f"{path}/connect", json={"timeout": 30})).status_code == 200
        assert made["sandboxID"] in [each["sandboxID"] for each in (await http.get("/sandboxes")).json()]
        assert (await http.get(path)).json()["allowInternetAccess"] is False
    finally:
        assert (await http.delete(path)).status_code == 204


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "templateID"),
        ({"templateID": 5}, "templateID"),
        ({"templateID": "base", "timeout": -1}, "timeout"),
        ({"templateID": "base", "metadata": {"a": 1}}, "metadata.a"),
        ({"templateID": "base", "envVars": {f"A{i}": "" for i in range(300)}}, "envVars"),
        ("not json", "body"),
    ],
)
async def test_a_malformed_wish_names_its_field(
    http: httpx.AsyncClient, sandbox_server: RunningServer, body: Any, message: str
) -> None:
    answer = await http.post("/v2/sandboxes", json=body, headers={"X-API-KEY": sandbox_server.api_key})
    assert answer.status_code == 400
    assert answer.json()["code"] == 400
    assert message in answer.json()["message"]


async def test_an_answer_to_a_list_or_a_question_holds_no_token(
    http: httpx.AsyncClient, sandbox: Any, sandbox_server: RunningServer
) -> None:
    http.headers["X-API-KEY"] = sandbox_server.api_key
    for path in ("/v2/sandboxes", f"/sandboxes/{sandbox.sandbox_id}"):
        assert sandbox._envd_access_token not in (await http.get(path)).text


async def test_health_and_numbers_need_no_key(http: httpx.AsyncClient, sandbox: Any) -> None:
    assert sandbox
    assert (await http.get("/health")).json()["status"] == "ok"
    text = (await http.get("/metrics")).text
    assert 'castari_sandboxes{state="running"}' in text
    assert "castari_sandboxes_created_total" in text


async def test_a_process_s_stream_has_start_data_end_and_a_last_frame(
    http: httpx.AsyncClient, stream_headers: dict[str, str]
) -> None:
    start = {"process": {"cmd": "/bin/echo", "args": ["x"]}, "stdin": False}
    answer = await http.post("/process.Process/Start", headers=stream_headers, content=_frame(start))
    frames = _frames(answer.content)
    assert [flag for flag, _ in frames] == [0, 0, 0, 2]
    events = [message.get("event", message) for _, message in frames]
    assert list(events[0]["start"]) == ["pid"]
    assert events[1] == {"data": {"stdout": "eAo="}}
    assert events[2] == {"end": {"exitCode": 0, "exited": True, "status": "exit status 0"}}
    assert events[3] == {}


async def test_a_deadline_ends_a_stream_with_an_error_and_without_an_end(
    http: httpx.AsyncClient, stream_headers: dict[str, str]
) -> None:
    start = {"process": {"cmd": "sleep", "args": ["60"]}, "stdin": False}
    headers = {**stream_headers, "Connect-Timeout-Ms": "200"}
    answer = await http.post("/process.Process/Start", headers=headers, content=_frame(start))
    (_, started), (flag, last) = _frames(answer.content)
    assert "start" in started["event"]
    assert (flag, last["error"]["code"]) == (2, "deadline_exceeded")


async def test_an_idle_stream_is_kept_alive(http: httpx.AsyncClient, stream_headers: dict[str, str]) -> None:
    start = {"process": {"cmd": "sleep", "args": ["1.5"]}, "stdin": False}
    headers = {**stream_headers, "Keepalive-Ping-Interval": "1"}
    answer = await http.post("/process.Process/Start", headers=headers, content=_frame(start))
    assert {"event": {"keepalive": {}}} in [message for _, message in _frames(answer.content)]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/process.Process/SendSignal", b'{"process":{"pid":1},"signal":"SIGNAL_SIGHUP"}'),
        ("/process.Process/SendInput", b"[]"),
        ("/filesystem.Filesystem/Stat", b'{"path":7}'),
        ("/filesystem.Filesystem/Stat", b"\xff\xfe"),
    ],
)
async def test_a_malformed_call_is_an_invalid_argument(
    http: httpx.AsyncClient, envd_headers: dict[str, str], path: str, body: bytes
) -> None:
    headers = {**envd_headers, "Content-Type": "application/json"}
    answer = await http.post(path, headers=headers, content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")


async def test_a_call_that_this_server_lacks_is_unimplemented(
    http: httpx.AsyncClient, envd_headers: dict[str, str]
) -> None:
    answer = await http.post("/process.Process/Sleep", headers=envd_headers, json={})
    assert (answer.status_code, answer.json()["code"]) == (501, "unimplemented")


async def test_a_message_too_large_is_refused_before_it_is_read(
    http: httpx.AsyncClient, stream_headers: dict[str, str]
) -> None:
    lie = b"\0" + (2**31).to_bytes(4, "big")
    answer = await http.post("/process.Process/Start", headers=stream_headers, content=lie)
    assert _frames(answer.content)[-1][1]["error"]["code"] == "resource_exhausted"


async def test_a_reader_that_stops_stops_the_writer(
    sdk: Sdk, sandbox: Any, http: httpx.AsyncClient, stream_headers: dict[str, str]
) -> None:
    # Counts what it could write: without back-pressure that would be all of it.
    script = "for i in $(seq 2000); do head -c 100000 /dev/zero; echo $i > count; done"
    start = {"process": {"cmd": "/bin/bash", "args": ["-c", script]}, "stdin": False}
    async with http.stream(
        "POST", "/process.Process/Start", headers=stream_headers, content=_frame(start)
    ) as answer:
        received = answer.aiter_bytes()
        await anext(received)
        count = await _settled(lambda: sdk(sandbox.files.read, "count"))
        assert int(count) < 500
        async for _ in received:
            pass
    assert int(await sdk(sandbox.files.read, "count")) == 2000


async def test_half_a_request_does_not_disturb_others(
    sdk: Sdk, sandbox: Any, sandbox_server: RunningServer, stream_headers: dict[str, str]
) -> None:
    host, port = sandbox_server.url.removeprefix("http://").split(":")
    lines = "".join(f"{name}: {value}\r\n" for name, value in stream_headers.items())
    writers = []
    for body in ("", "Transfer-Encoding: chunked\r\n\r\n5\r\n\0\0", "Content-Length: 99\r\n\r\n{"):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"POST /process.Process/Start HTTP/1.1\r\nHost: x\r\n{lines}{body}".encode())
        await writer.drain()
        writers.append(writer)
    assert (await sdk(sandbox.commands.run, "echo fine")).stdout == "fine\n"
    for writer in writers:
        writer.close()
        await writer.wait_closed()


async def _settled(read: Any) -> str:
    """A value once it stays the same for a while."""
    last, seen = "", 0
    async with asyncio.timeout(60):
        while seen < 10:
            await asyncio.sleep(0.05)
            value = str(await read())
            last, seen = value, seen + 1 if value == last and value else 0
    return last


@pytest.mark.parametrize("cut", [b"\0", b"\0\0\0\0\x09{}", b"\1\0\0\0\2{}", b""])
async def test_a_broken_stream_ends_with_an_error(
    http: httpx.AsyncClient, stream_headers: dict[str, str], cut: bytes
) -> None:
    answer = await http.post("/process.Process/Start", headers=stream_headers, content=cut)
    assert answer.status_code == 200
    assert _frames(answer.content)[-1][1]["error"]["code"] in ("invalid_argument", "unimplemented")


_FILE_HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"no boundary"),
        ("multipart/form-data; boundary=b", b"--b\r\nbroken"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: x\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx'),
        ("multipart/form-data; boundary=b", _FILE_HEAD + b"cut"),
        ("multipart/form-data; boundary=b", _FILE_HEAD + b"cut" * 100_000),
        ("multipart/form-data; boundary=" + "b" * 100, b"x"),
        ("multipart/mixed; boundary=b", b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n"),
    ],
)
async def test_a_broken_form_is_an_invalid_argument(
    http: httpx.AsyncClient, envd_headers: dict[str, str], content_type: str, body: bytes
) -> None:
    headers = {**envd_headers, "Content-Type": content_type}
    answer = await http.post("/files", headers=headers, content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
