"""Files: written, read, listed, moved and removed, as the SDK shows them."""

import gzip
import io
from typing import Any

import httpx
import pytest
from e2b import FileNotFoundException, FileType, InvalidArgumentException, SandboxException
from e2b.sandbox.signature import get_signature

from tests.conformance.conftest import Sdk

SIX_MIB = bytes(range(256)) * 4096 * 6


async def test_text_comes_back_as_it_was_written(sdk: Sdk, sandbox: Any) -> None:
    info = await sdk(sandbox.files.write, "a.txt", "héllo\n€")
    assert (info.name, info.type, info.path.endswith("/a.txt")) == ("a.txt", FileType.FILE, True)
    assert await sdk(sandbox.files.read, "a.txt") == "héllo\n€"


async def test_bytes_come_back_as_they_were_written(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "a.bin", SIX_MIB)
    assert await sdk(sandbox.files.read, "a.bin", format="bytes") == SIX_MIB


async def test_an_empty_file_is_a_file(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "empty", b"")
    assert await sdk(sandbox.files.read, "empty") == ""


async def test_a_file_can_be_read_as_a_stream(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "a.bin", SIX_MIB)
    chunks = await sdk.collect(await sdk(sandbox.files.read, "a.bin", format="stream"))
    assert b"".join(chunks) == SIX_MIB
    assert len(chunks) > 1


@pytest.mark.parametrize("name", ["with space", "ünïcödé €", 'quo"te', "per%22cent", "semi;colon", "-dash"])
async def test_names_are_kept_as_they_are(sdk: Sdk, sandbox: Any, name: str) -> None:
    info = await sdk(sandbox.files.write, f"dir/{name}", name)
    assert info.name == name
    assert await sdk(sandbox.files.read, f"dir/{name}") == name
    assert [each.name for each in await sdk(sandbox.files.list, "dir")] == [name]


async def test_directories_on_the_way_are_made(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "a/b/c.txt", "deep")
    assert (await sdk(sandbox.commands.run, "cat a/b/c.txt")).stdout == "deep"


async def test_writing_again_replaces_all(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "a", "long content")
    await sdk(sandbox.files.write, "a", "short")
    assert await sdk(sandbox.files.read, "a") == "short"


async def test_several_files_are_written_at_once(sdk: Sdk, sandbox: Any) -> None:
    files = [{"path": f"many/{number}", "data": str(number)} for number in range(20)]
    written = await sdk(sandbox.files.write_files, files)
    assert [each.name for each in written] == [str(number) for number in range(20)]
    assert (await sdk(sandbox.commands.run, "cat many/7 many/13")).stdout == "713"


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
async def test_a_raw_body_is_written(sdk: Sdk, sandbox: Any, zipped: bool) -> None:
    await sdk(sandbox.files.write, "a.bin", SIX_MIB, use_octet_stream=True, gzip=zipped)
    assert await sdk(sandbox.files.read, "a.bin", format="bytes") == SIX_MIB


async def test_a_file_object_is_streamed(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "a.bin", io.BytesIO(SIX_MIB))
    assert await sdk(sandbox.files.read, "a.bin", format="bytes", gzip=True) == SIX_MIB


async def test_reading_what_is_not_there_is_file_not_found(sdk: Sdk, sandbox: Any) -> None:
    with pytest.raises(FileNotFoundException, match="nothing-here"):
        await sdk(sandbox.files.read, "nothing-here")


async def test_reading_a_directory_is_an_invalid_argument(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.make_dir, "d")
    with pytest.raises(InvalidArgumentException, match="not a regular file"):
        await sdk(sandbox.files.read, "d")


async def test_writing_over_a_directory_is_an_invalid_argument(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.make_dir, "d")
    with pytest.raises(InvalidArgumentException, match="is a directory"):
        await sdk(sandbox.files.write, "d", "x")


@pytest.mark.parametrize("path", ["/dev/zero", "fifo"])
async def test_special_files_are_not_read(sdk: Sdk, sandbox: Any, path: str) -> None:
    await sdk(sandbox.commands.run, "mkfifo fifo")
    with pytest.raises(InvalidArgumentException, match="not a regular file"):
        await sdk(sandbox.files.read, path)


async def test_a_path_with_nul_is_an_invalid_argument(sdk: Sdk, sandbox: Any) -> None:
    with pytest.raises(InvalidArgumentException, match="NUL"):
        await sdk(sandbox.files.read, "a\0b")


async def test_a_path_too_long_is_an_invalid_argument(sdk: Sdk, sandbox: Any) -> None:
    with pytest.raises(InvalidArgumentException, match="too long"):
        await sdk(sandbox.files.read, "x/" * 3000)


async def test_notes_on_a_file_are_kept(sdk: Sdk, sandbox: Any) -> None:
    written = await sdk(sandbox.files.write, "a", "x", metadata={"Origin": "upload 7"})
    assert written.metadata == {"origin": "upload 7"}
    assert (await sdk(sandbox.files.get_info, "a")).metadata == {"origin": "upload 7"}


async def test_a_file_is_described(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.commands.run, "printf 12345 > a; chmod 640 a; touch -d '2024-05-06T07:08:09Z' a")
    info = await sdk(sandbox.files.get_info, "a")
    assert (info.name, info.type, info.size, info.mode) == ("a", FileType.FILE, 5, 0o640)
    assert info.permissions == "-rw-r-----"
    assert info.modified_time.isoformat() == "2024-05-06T07:08:09+00:00"
    assert info.owner == (await sdk(sandbox.commands.run, "id -un")).stdout.strip()


async def test_a_link_is_described_with_its_target(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.commands.run, "mkdir d; ln -s d link; ln -s nowhere broken")
    listed = {each.name: each for each in await sdk(sandbox.files.list, ".")}
    # The JavaScript SDK tells what a link leads to, if there is something.
    assert listed["link"].type == (FileType.DIR if sdk.flavour == "js" else FileType.SYMLINK)
    assert listed["broken"].type == FileType.SYMLINK
    assert listed["link"].symlink_target == listed["d"].path
    assert listed["d"].symlink_target is None


async def test_a_directory_is_listed_to_the_wanted_depth(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.commands.run, "mkdir -p top/b/c; touch top/a top/b/d top/b/c/e")
    assert [each.name for each in await sdk(sandbox.files.list, "top")] == ["a", "b"]
    assert [each.name for each in await sdk(sandbox.files.list, "top", depth=2)] == ["a", "b", "c", "d"]
    assert [each.name for each in await sdk(sandbox.files.list, "top", depth=9)] == ["a", "b", "c", "e", "d"]


async def test_listing_what_is_not_there_is_file_not_found(sdk: Sdk, sandbox: Any) -> None:
    with pytest.raises(FileNotFoundException):
        await sdk(sandbox.files.list, "nothing-here")


async def test_listing_a_file_is_an_invalid_argument(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "a", "x")
    with pytest.raises(InvalidArgumentException, match="not a directory"):
        await sdk(sandbox.files.list, "a")


async def test_existence_is_told(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "a", "x")
    assert await sdk(sandbox.files.exists, "a") is True
    assert await sdk(sandbox.files.exists, "b") is False


async def test_a_directory_is_made_once(sdk: Sdk, sandbox: Any) -> None:
    assert await sdk(sandbox.files.make_dir, "x/y/z") is True
    assert await sdk(sandbox.files.make_dir, "x/y/z") is False
    assert (await sdk(sandbox.files.get_info, "x/y/z")).type == FileType.DIR


async def test_a_directory_can_not_replace_a_file(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "a", "x")
    with pytest.raises(InvalidArgumentException, match="not a directory"):
        await sdk(sandbox.files.make_dir, "a")


async def test_renaming_moves_into_directories_that_it_makes(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "a", "moved")
    info = await sdk(sandbox.files.rename, "a", "new/place/b")
    assert info.name == "b"
    assert await sdk(sandbox.files.read, "new/place/b") == "moved"
    assert not await sdk(sandbox.files.exists, "a")


async def test_renaming_what_is_not_there_is_file_not_found(sdk: Sdk, sandbox: Any) -> None:
    with pytest.raises(FileNotFoundException):
        await sdk(sandbox.files.rename, "nothing-here", "b")


async def test_a_tree_is_removed_and_what_its_links_name_is_kept(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.commands.run, "mkdir -p tree/d kept; touch kept/a tree/d/b; ln -s ../kept tree/link")
    await sdk(sandbox.files.remove, "tree")
    assert not await sdk(sandbox.files.exists, "tree")
    assert await sdk(sandbox.files.exists, "kept/a")


async def test_removing_a_link_keeps_its_target(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.commands.run, "mkdir kept; touch kept/a; ln -s kept link")
    await sdk(sandbox.files.remove, "link")
    assert await sdk(sandbox.files.exists, "kept/a")


async def test_removing_what_is_not_there_is_fine(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.remove, "nothing-here")
    assert await sdk(sandbox.files.exists, "nothing-here") is False


async def test_home_can_be_written_with_a_tilde(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "~/a", "home")
    assert (await sdk(sandbox.commands.run, "cat ~/a")).stdout == "home"


async def test_a_signed_url_downloads_without_any_header(
    sandbox: Any, sdk: Sdk, http: httpx.AsyncClient
) -> None:
    await sdk(sandbox.files.write, "a b&c", "signed")
    answer = await http.get(await sdk(sandbox.download_url, "a b&c", use_signature_expiration=60))
    assert (answer.status_code, answer.text) == (200, "signed")


async def test_a_signed_url_uploads_a_form(sandbox: Any, sdk: Sdk, http: httpx.AsyncClient) -> None:
    answer = await http.post(await sdk(sandbox.upload_url, "a"), files={"file": ("ignored", b"uploaded")})
    assert answer.status_code == 200
    assert await sdk(sandbox.files.read, "a") == "uploaded"


@pytest.mark.parametrize("change", ["path", "operation", "expired", "signature"])
async def test_a_signature_opens_only_what_was_signed(
    sandbox: Any, sdk: Sdk, http: httpx.AsyncClient, change: str
) -> None:
    await sdk(sandbox.files.write, "a", "secret")
    signed = get_signature("a", "read", None, sandbox._envd_access_token, -5 if change == "expired" else 60)
    query = {"path": "a", "signature": signed["signature"], "signature_expiration": str(signed["expiration"])}
    query |= {"path": {"path": "b"}, "signature": {"signature": "v1_x"}}.get(change, {})
    method = "POST" if change == "operation" else "GET"
    answer = await http.request(
        method, "/files", params=query, headers={"E2b-Sandbox-Id": sandbox.sandbox_id}
    )
    assert answer.status_code == 401
    assert "secret" not in answer.text
    assert (await http.request(method, "/files", params=query)).status_code == 401


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("bytes=0-3", (206, b"0123")),
        ("bytes=7-", (206, b"789")),
        ("bytes=-2", (206, b"89")),
        ("bytes=8-99", (206, b"89")),
        ("bytes=10-", (416, b"")),
        ("bytes=x", (200, b"0123456789")),
    ],
)
async def test_a_range_of_a_file_can_be_read(
    sandbox: Any, sdk: Sdk, http: httpx.AsyncClient, wanted: str, expected: tuple[int, bytes]
) -> None:
    await sdk(sandbox.files.write, "a", "0123456789")
    answer = await http.get(await sdk(sandbox.download_url, "a"), headers={"Range": wanted})
    assert (answer.status_code, answer.content) == expected


async def test_a_broken_gzip_body_is_refused(sdk: Sdk, sandbox: Any, http: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}
    cut = gzip.compress(b"x" * 1000)[:-9]
    for body in (b"no gzip at all", cut):
        answer = await http.post(await sdk(sandbox.upload_url, "a"), content=body, headers=headers)
        assert answer.status_code == 400
        assert "gzip" in answer.json()["message"]


async def test_a_large_upload_that_is_refused_early_still_says_why(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.make_dir, "d")
    for raw in (False, True):
        with pytest.raises(InvalidArgumentException, match="is a directory"):
            await sdk(sandbox.files.write, "d", SIX_MIB * 8, use_octet_stream=raw)
    assert await sdk(sandbox.files.exists, "d")


async def _compose(sandbox: Any, http: httpx.AsyncClient, **message: Any) -> httpx.Response:
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "X-Access-Token": sandbox._envd_access_token}
    return await http.post("/files/compose", json=message, headers=headers)


@pytest.mark.local
async def test_files_are_put_together_and_the_parts_are_gone(
    sdk: Sdk, sandbox: Any, http: httpx.AsyncClient
) -> None:
    for name, data in (("p1", b"one, "), ("p2", SIX_MIB), ("p3", b"")):
        await sdk(sandbox.files.write, name, data)
    answer = await _compose(sandbox, http, source_paths=["p1", "p2", "p3", "p1"], destination="new/whole")
    assert (answer.status_code, answer.json()["name"], answer.json()["type"]) == (200, "whole", "file")
    assert await sdk(sandbox.files.read, "new/whole", format="bytes") == b"one, " + SIX_MIB + b"one, "
    assert [each.name for each in await sdk(sandbox.files.list, "new")] == ["whole"]
    assert [each.name for each in await sdk(sandbox.files.list, ".") if each.name.startswith("p")] == []
    info = await sdk(sandbox.files.get_info, "new/whole")
    assert info.owner == (await sdk(sandbox.commands.run, "id -un")).stdout.strip()


@pytest.mark.local
@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"source_paths": [], "destination": "whole"}, 400),
        ({"source_paths": ["part"]}, 400),
        ({"source_paths": ["part", 1], "destination": "whole"}, 400),
        ({"source_paths": ["part", "whole"], "destination": "whole"}, 400),
        ({"source_paths": ["part", "d"], "destination": "whole"}, 400),
        ({"source_paths": ["part", "no-such"], "destination": "whole"}, 404),
        ({"source_paths": ["part"], "destination": "d"}, 400),
        ({"source_paths": ["part"], "destination": "whole", "username": "nobody-known"}, 401),
    ],
)
async def test_files_that_can_not_be_put_together_stay_as_they_are(
    sdk: Sdk, sandbox: Any, http: httpx.AsyncClient, message: dict[str, Any], status: int
) -> None:
    await sdk(sandbox.files.make_dir, "d")
    await sdk(sandbox.files.write, "part", "part")
    await sdk(sandbox.files.write, "whole", "before")
    answer = await _compose(sandbox, http, **message)
    assert (answer.status_code, answer.json()["code"]) == (status, status)
    listed = (await sdk(sandbox.commands.run, "ls; ls -A | grep compose; cat part whole")).stdout
    assert listed.split() == ["d", "part", "whole", "partbefore"]


@pytest.mark.local
async def test_a_signed_url_is_good_for_ever_without_an_end(
    sdk: Sdk, sandbox: Any, http: httpx.AsyncClient
) -> None:
    await sdk(sandbox.files.write, "a", "signed")
    url = await sdk(sandbox.download_url, "a")
    assert "signature_expiration" not in url
    assert (await http.get(url)).text == "signed"
    assert (await http.get(url, headers={"Accept-Encoding": "gzip"})).text == "signed"


@pytest.mark.local
async def test_a_file_whose_reading_fails_is_refused_and_keeps_nobody_waiting(sdk: Sdk, sandbox: Any) -> None:
    command = await sdk(sandbox.commands.run, "exec sleep 600", background=True)
    with pytest.raises(SandboxException, match="input/output error"):
        await sdk(sandbox.files.read, f"/proc/{command.pid}/mem")
    assert await sdk(sandbox.files.read, "/etc/hostname")
