"""Streams between a presigned URL and a file."""

import hashlib
import http.client
from pathlib import Path

from runner.fetch import connect

from builder.failure import StepFailed

_CHUNK_BYTES = 1024 * 1024
_AGAIN = "deploy again; if it stays so, the platform's storage or network is at fault"


def download(url: str, target: Path, *, limit_bytes: int) -> str:
    """Store what the URL holds as `target`, and return its SHA-256 in hexadecimal. Raises `StepFailed`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    connection, path = connect(url)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise StepFailed(f"the store answered {response.status}", _AGAIN)
        with target.open("wb") as file:
            while chunk := response.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > limit_bytes:
                    raise StepFailed(f"it is larger than {limit_bytes} bytes", "make the bundle smaller")
                digest.update(chunk)
                file.write(chunk)
    except (OSError, http.client.HTTPException) as error:
        raise StepFailed(f"the store cannot be read ({type(error).__name__}: {error})", _AGAIN) from error
    finally:
        connection.close()
    return digest.hexdigest()


def upload(source: Path, url: str) -> None:
    """Store a file at the URL. Raises `StepFailed`."""
    connection, path = connect(url)
    try:
        with source.open("rb") as file:
            headers = {"Content-Length": str(source.stat().st_size)}
            connection.request("PUT", path, body=file, headers=headers)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise StepFailed(f"the store answered {response.status}", _AGAIN)
    except (OSError, http.client.HTTPException) as error:
        raise StepFailed(f"the store cannot be written ({type(error).__name__}: {error})", _AGAIN) from error
    finally:
        connection.close()
