"""`/files`: who reads or writes which path, and errors in this API's own form."""

import errno

from aiohttp import web

from local.sandboxes.envd.compose import compose
from local.sandboxes.envd.downloads import download
from local.sandboxes.envd.errors import HTTP_STATUS, ConnectError, from_os_error
from local.sandboxes.envd.guest import Guest
from local.sandboxes.envd.uploads import upload

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
INSUFFICIENT_STORAGE = 507


async def handle_files(guest: Guest, request: web.BaseRequest) -> web.StreamResponse:
    """Read or write files as the account that the query names, or put files together."""
    try:
        if request.path != "/files":
            return await compose(guest, request)
        account = guest.accounts.find(request.query.get("username") or guest.accounts.default)
        transfer = upload if request.method == "POST" else download
        return await transfer(request, request.query.get("path", ""), account)
    except ConnectError as error:
        return _refuse(HTTP_STATUS[error.code], error.message)
    except OSError as error:
        if error.errno in _NO_SPACE:
            return _refuse(INSUFFICIENT_STORAGE, "the sandbox's disk is full")
        known = from_os_error(error)
        return _refuse(HTTP_STATUS[known.code], known.message)


def _refuse(status: int, message: str) -> web.Response:
    return web.json_response({"code": status, "message": message}, status=status)
