"""What an agent runs in a sandbox to find out where it can get: who answered, or why nobody did."""

PROBE = r"""
import json, socket, ssl, sys

def exchange(address, port, first, server_name=None, tls=False):
    try:
        with socket.create_connection((address, port), timeout=5) as plain:
            each = plain
            if tls:
                context = ssl._create_unverified_context()
                context.check_hostname = False
                each = context.wrap_socket(plain, server_hostname=server_name)
            each.sendall(first)
            return each.recv(4096).decode(errors="replace").rpartition("\r\n\r\n")[2].strip() or "nothing"
    except OSError as error:
        return f"refused {type(error).__name__} {getattr(error, 'reason', None) or error.strerror or error}"

def get(host, target="/"):
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()

def http(address, host, port=80):
    return exchange(address, port, get(host))

def tls(address, name, port=443):
    return exchange(address, port, get(name), name, tls=True)

def raw(address, port, text):
    return exchange(address, port, text.encode())

def look_up(name):
    try:
        return sorted({found[4][0] for found in socket.getaddrinfo(name, 80)})
    except OSError as error:
        return f"refused {error.strerror}"

def ask(server, name, kind=1, over_tcp=False):
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    query = b"\x12\x34\x01\x00\x00\x01" + bytes(6) + labels + b"\0" + kind.to_bytes(2, "big") + b"\0\1"
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM if over_tcp else socket.SOCK_DGRAM) as each:
            each.settimeout(3)
            each.connect((server, 53))
            each.send(len(query).to_bytes(2, "big") + query if over_tcp else query)
            answer = each.recv(4096)[2 if over_tcp else 0:]
            return {"code": answer[3] & 15, "answers": int.from_bytes(answer[6:8], "big")}
    except OSError as error:
        return f"refused {type(error).__name__}"

def datagram(address, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as each:
        each.settimeout(1)
        try:
            each.connect((address, port))
            each.send(b"x")
            return each.recv(100).decode()
        except OSError as error:
            return f"refused {type(error).__name__}"

calls = json.loads(sys.argv[1])
print(json.dumps([globals()[name](*arguments) for name, *arguments in calls]))
"""
