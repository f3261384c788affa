"""A receiver of callbacks by https at a public address, in a network namespace of its own.

As a process: `python -m tests.e2e.product.callback_host ADDRESS PORT CERTIFICATE`, which prints what it got.
"""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

from local.places import REPOSITORY
from tests.e2e.product.certificates import make_certificates
from tests.e2e.product.namespaces import linked_namespace
from tests.receivers import Received

# Of the same block as the stand-in of git's hosts, which says why.
_HOST, _SERVER, _PORT = "192.52.193.5", "192.52.193.6", "9443"


@dataclass(frozen=True)
class CallbackHost:
    """Where it is, and the certificate of the authority that vouches for it, which nobody else trusts."""

    authority: Path
    _output: IO[str]

    def url(self, path: str) -> str:
        return f"https://{_SERVER}:{_PORT}{path}"

    def next(self) -> Received:
        """Return what came next, once it has."""
        found = json.loads(self._output.readline())
        return Received(found["path"], found["headers"], found["body"].encode())


@contextmanager
def callback_host(folder: Path) -> Iterator[CallbackHost]:
    """Serve within the block. Needs root."""
    certificates = make_certificates(_SERVER)
    server_file, authority = folder / "callbacks.pem", folder / "authority.pem"
    server_file.write_text(certificates.server)
    authority.write_text(certificates.authority)
    module = "tests.e2e.product.callback_host"
    with linked_namespace("call", _HOST, _SERVER) as namespace:
        command = ["ip", "netns", "exec", namespace, sys.executable, "-m", module, _SERVER, _PORT]
        server = subprocess.Popen(
            [*command, str(server_file)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        )
        with server:
            try:
                assert server.stdout
                assert server.stdout.readline() == "serving\n"
                yield CallbackHost(authority, server.stdout)
            finally:
                server.terminate()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        print(json.dumps({"path": self.path, "headers": headers, "body": body}), flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: who does not trust the certificate is none of its business."""


def _serve(address: str, port: str, certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ThreadingHTTPServer((address, int(port)), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print("serving", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
