"""Attacks with requests that no client library would send."""

import base64
import struct

from tests.attack.client.attacks import attack
from tests.attack.client.victim import Victim
from tests.attack.probe.attempts import Refused

_HEAD = "POST /files?path=/home/user/x HTTP/1.1\r\nHost: victim\r\nConnection: close\r\n"
_BAD = ("400", "closed")


def _head(victim: Victim, *lines: str) -> bytes:
    own = [f"{name}: {value}" for name, value in victim.headers.items()]
    return (_HEAD + "\r\n".join((*own, *lines)) + "\r\n\r\n").encode()


@attack(*_BAD, "431")
def header_of_a_megabyte(victim: Victim) -> str:
    """One header that is longer than any should be."""
    return victim.send(_head(victim, "X: " + "x" * 1_000_000)).judge()


@attack(*_BAD, "431")
def header_without_end(victim: Victim) -> str:
    """A header that goes on for four megabytes and does not end."""
    return victim.send(_HEAD.encode() + b"X: " + b"x" * 4_000_000).judge()


@attack(*_BAD, "431")
def a_million_bytes_of_small_headers(victim: Victim) -> str:
    """More headers than any request needs."""
    return victim.send(_head(victim, *(f"X-{index}: x" for index in range(80_000)))).judge()


@attack(*_BAD, "414")
def request_line_of_a_megabyte(victim: Victim) -> str:
    """A request line that is longer than any should be."""
    return victim.send(b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\n\r\n").judge()


@attack(*_BAD)
def two_lengths(victim: Victim) -> str:
    """A body with two lengths, of which each server on the way may believe another."""
    return victim.send(_head(victim, "Content-Length: 1", "Content-Length: 2") + b"ab").judge()


@attack(*_BAD)
def length_and_chunks(victim: Victim) -> str:
    """A body with a length that also comes in chunks: the classic to smuggle a second request in."""
    head = _head(victim, "Content-Length: 6", "Transfer-Encoding: chunked")
    return victim.send(head + b"0\r\n\r\nGET").judge()


@attack(*_BAD)
def negative_length(victim: Victim) -> str:
    """A body of minus one byte."""
    return victim.send(_head(victim, "Content-Length: -1") + b"x").judge()


@attack(*_BAD)
def chunk_of_no_size(victim: Victim) -> str:
    """A chunk whose size is no number."""
    return victim.send(_head(victim, "Transfer-Encoding: chunked") + b"zz\r\nxx\r\n0\r\n\r\n").judge()


@attack(*_BAD, "413")
def chunk_of_all_memory(victim: Victim) -> str:
    """A chunk that claims more bytes than there are addresses, and then ends."""
    head = _head(victim, "Transfer-Encoding: chunked")
    return victim.send(head + b"ffffffffffffffffff\r\nxx\r\n0\r\n\r\n").judge()


@attack(*_BAD)
def nul_in_a_header(victim: Victim) -> str:
    """A sandbox id that ends in the middle."""
    return victim.send(_head(victim, "E2b-Sandbox-Id: a\0b") + b"").judge()


@attack("413")
def body_of_eight_megabytes(victim: Victim) -> str:
    """More than a request to make a sandbox can need."""
    body = b'{"templateID": "base", "metadata": {"a": "' + b"x" * 8_000_000 + b'"}}'
    return victim.ask("POST", "/v2/sandboxes", _control(victim), body).judge()


@attack("400")
def nested_json_for_the_server(victim: Victim) -> str:
    """Brackets in brackets, for a parser that calls itself."""
    body = b'{"templateID": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    return victim.ask("POST", "/v2/sandboxes", _control(victim), body).judge()


@attack("400")
def nested_json_for_the_daemon(victim: Victim) -> str:
    """The same for the daemon in the sandbox."""
    headers = {**victim.headers, "Content-Type": "application/json"}
    body = b'{"path": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    return victim.ask("POST", "/filesystem.Filesystem/Stat", headers, body).judge()


@attack("400")
def nested_json_in_a_page_token(victim: Victim) -> str:
    """The same where nobody expects JSON: in the token of a list's next page."""
    token = base64.urlsafe_b64encode(b"[" * 9000).decode()
    return victim.ask("GET", f"/v2/sandboxes?nextToken={token}", _control(victim)).judge()


@attack("400", "refused in the stream")
def argument_of_half_a_character(victim: Victim) -> str:
    """Half of a pair of UTF-16 as a command's argument."""
    return _start(victim, b'{"process": {"cmd": "echo", "args": ["\\ud800"]}}')


@attack("400")
def number_of_a_million_digits(victim: Victim) -> str:
    """A number that takes minutes to read."""
    body = b'{"templateID": "base", "timeout": ' + b"9" * 900_000 + b"}"
    return victim.ask("POST", "/v2/sandboxes", _control(victim), body).judge()


@attack("400", "413", "429", "refused in the stream")
def message_of_four_gigabytes(victim: Victim) -> str:
    """A message that announces four gigabytes, for a server that makes room for them."""
    headers = {**victim.headers, "Content-Type": "application/connect+json", "Connect-Protocol-Version": "1"}
    answer = victim.ask("POST", "/process.Process/Start", headers, struct.pack(">BI", 0, 2**32 - 1))
    return _judge_stream(answer.status, answer.body) or answer.judge()


@attack("400", "refused in the stream")
def deadline_of_no_time(victim: Victim) -> str:
    """A deadline that is no number."""
    return _start(victim, b'{"process": {"cmd": "true"}}', deadline="1e99")


@attack("400")
def form_without_boundary(victim: Victim) -> str:
    """A form whose parts nothing separates."""
    return victim.write("/home/user/x", b"xx", {"Content-Type": "multipart/form-data"}).judge()


@attack("400")
def form_of_too_many_parts(victim: Victim) -> str:
    """A form of more files than anybody uploads at once."""
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="/home/user/f"\r\n\r\nx\r\n'
    body = part * 11_000 + b"--b--\r\n"
    headers = {**victim.headers, "Content-Type": "multipart/form-data; boundary=b"}
    return victim.ask("POST", "/files", headers, body).judge()


@attack("400")
def form_without_end(victim: Victim) -> str:
    """A form that ends in the middle of a part's headers."""
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="/home/user/f"'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    return victim.write("/home/user/x", body, headers).judge()


@attack("400")
def form_of_other_lines(victim: Victim) -> str:
    """A form in which nothing is where it should be."""
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    return victim.write("/home/user/x", b"hello\r\n" * 1000, headers).judge()


def _start(victim: Victim, message: bytes, deadline: str = "5000") -> str:
    headers = {
        **victim.headers,
        "Content-Type": "application/connect+json",
        "Connect-Protocol-Version": "1",
        "Connect-Timeout-Ms": deadline,
    }
    body = struct.pack(">BI", 0, len(message)) + message
    answer = victim.ask("POST", "/process.Process/Start", headers, body)
    return _judge_stream(answer.status, answer.body) or answer.judge()


def _control(victim: Victim) -> dict[str, str]:
    return {"X-API-KEY": victim.api_key, "Content-Type": "application/json"}


def _judge_stream(status: int, body: bytes) -> str:
    if status == 200 and b'"error"' in body:
        raise Refused("refused in the stream", body[5:200].decode(errors="replace"))
    return ""
