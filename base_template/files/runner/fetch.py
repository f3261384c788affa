"""Fetches one object from a presigned URL into memory."""

import http.client
import ssl

_SECONDS = 20


def connect(url: str) -> tuple[http.client.HTTPConnection, str]:
    """Return a connection to the URL's host, not opened yet, and the path to ask for."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if scheme == "https":
        secure = http.client.HTTPSConnection(host, timeout=_SECONDS, context=ssl.create_default_context())
        return secure, slash + path
    return http.client.HTTPConnection(host, timeout=_SECONDS), slash + path


def fetch(url: str, *, limit_bytes: int) -> bytes:
    """Return the object's content. Raises `OSError` when it cannot be had or is longer than the limit."""
    connection, path = connect(url)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        content = response.read(limit_bytes + 1)
    except http.client.HTTPException as error:
        raise OSError(f"no proper answer ({type(error).__name__})") from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise OSError(f"the store answered {response.status}")
    if len(content) > limit_bytes:
        raise OSError(f"it is longer than {limit_bytes} bytes")
    return content
