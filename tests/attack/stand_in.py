"""A listener that plays whatever an attack aims at: it greets everybody who asks.

Run as a program: `stand_in.py PORT...` listens on all addresses, TCP and UDP, and prints `ready`.
"""

import selectors
import socket
import sys

BANNER = b"castari stand-in\n"
_MULTICAST = 0xFF


def _listen(port: int, kind: socket.SocketKind) -> socket.socket:
    # One socket for IPv6 and IPv4 together.
    listener = socket.socket(socket.AF_INET6, kind)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("::", port))
    if kind == socket.SOCK_STREAM:
        listener.listen(64)
    else:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    return listener


def _greet(listener: socket.socket) -> None:
    if listener.type == socket.SOCK_DGRAM:
        _greet_by_datagram(listener)
        return
    speaker, _ = listener.accept()
    with speaker:
        speaker.send(BANNER)


def _greet_by_datagram(listener: socket.socket) -> None:
    """Answer from the address that was asked, or the asker would not take the answer."""
    _, ancillary, _, asker = listener.recvmsg(64, 64)
    asked = ancillary[0][2][:16]
    origin = [] if asked[0] == _MULTICAST else [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, asked + bytes(4))]
    listener.sendmsg([BANNER], origin, 0, asker)


def main(ports: list[int]) -> None:
    """Greet for as long as the process lives."""
    waiting = selectors.DefaultSelector()
    for port in ports:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            waiting.register(_listen(port, kind), selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in waiting.select():
            try:
                _greet(key.fileobj)  # type: ignore[arg-type]
            except OSError:
                continue  # whoever asked is gone


if __name__ == "__main__":
    main([int(port) for port in sys.argv[1:]])
