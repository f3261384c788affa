"""A stand-in for presigned URLs: keeps what is PUT, honours If-None-Match, serves what it holds."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class ObjectStore:
    url: str
    objects: dict[str, bytes] = field(default_factory=dict)
    refusals: list[int] = field(default_factory=list)
    """Statuses to answer with before the next request is served."""
    open: threading.Event = field(default_factory=threading.Event)
    """While it is cleared, nothing is stored and who wants to waits."""
    requests: list[str] = field(default_factory=list)


@contextmanager
def running_object_store() -> Iterator[ObjectStore]:
    """Yield a store on loopback, which ends with the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    store = ObjectStore(f"http://127.0.0.1:{server.server_port}")
    store.open.set()
    server.RequestHandlerClass = type("Handler", (_Handler,), {"store": store})
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    store: ObjectStore

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.store.open.wait(30)
        path = urlsplit(self.path).path
        self.store.requests.append(f"PUT {path}")
        if self.store.refusals:
            self._answer(self.store.refusals.pop(0))
        elif self.headers["If-None-Match"] == "*" and path in self.store.objects:
            self._answer(412)
        else:
            self.store.objects[path] = body
            self._answer(200)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.store.requests.append(f"GET {path}")
        if self.store.refusals:
            self._answer(self.store.refusals.pop(0))
        elif path in self.store.objects:
            self._answer(200, self.store.objects[path])
        else:
            self._answer(404)

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""
