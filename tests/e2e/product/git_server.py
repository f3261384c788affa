"""Serves bare git repositories over https, as a process of its own: `python -m tests.e2e.product.git_server`.

What lies under `private/` asks for a token, and what lies under `moved/` is answered by a redirect.
"""

import base64
import os
import ssl
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

TOKEN = "tok-0f1e2d3c4b5a"


class Handler(BaseHTTPRequestHandler):
    """Passes requests on to git's own CGI program."""

    root: Path

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, body: bytes) -> None:
        url = urlsplit(self.path)
        if url.path.startswith("/moved/"):
            self._plain(302, {"Location": self.path.replace("/moved/", "/public/", 1)})
        elif url.path.startswith("/private/") and self.headers.get("Authorization") != _expected():
            self._plain(401, {"WWW-Authenticate": 'Basic realm="git"'})
        else:
            self._pass_on(url.path, url.query, body)

    def _plain(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _pass_on(self, path: str, query: str, body: bytes) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=True
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _expected() -> str:
    return f"Basic {base64.b64encode(f'x-access-token:{TOKEN}'.encode()).decode()}"


def main(root: str, address: str, port: str, certificate: str) -> None:
    """Serve until the process is ended; a line on stdout says that it serves."""
    Handler.root = Path(root)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ThreadingHTTPServer((address, int(port)), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print("serving", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
