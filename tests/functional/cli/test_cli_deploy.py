"""`cast deploy`, from a folder to an active agent or a reason why not."""

import hashlib
import io
import json
import os
import re
import tarfile
from pathlib import Path

import pytest

from tests.functional.cli.conftest import Cast
from tests.functional.cli.fake_platform import Asked, FakePlatform, Reply
from tests.functional.cli.shapes import agent

LATER = "2026-01-02T03:05:00Z"


def uploaded(asked: Asked) -> bytes:
    """Return the file in a form with one field."""
    boundary = asked.headers["content-type"].partition("boundary=")[2].encode()
    part = asked.body.split(b"--" + boundary)[1]
    return part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")


def names(bundle: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(bundle)) as archive:
        return archive.getnames()


def accept(platform: FakePlatform, *ends: Reply, source_hash: str = "feed" * 16) -> None:
    """Let an agent that exists take an upload, and answer what it then becomes."""
    platform.on("GET", "/agents/hello", Reply(200, agent()), *ends)
    answer = {"agent_id": "agent_1", "source_hash": source_hash, "status": "deploying", "sandbox_id": None}
    platform.on("POST", "/agents/hello/upload", Reply(200, answer | {"message": "deploying"}))


def active(source_hash: str = "feed" * 16) -> Reply:
    return Reply(200, agent(status="active", source_hash=source_hash, active_version=3, updated_at=LATER))


def deploying(message: str) -> Reply:
    return Reply(200, agent(status="deploying", status_message=message, updated_at=LATER))


def test_deploy_packs_uploads_and_waits_until_the_agent_is_active(
    cast: Cast, platform: FakePlatform, folder: Path
) -> None:
    accept(platform, deploying("installing dependencies"), deploying("bundling"), active())
    result = cast("deploy", "--folder", str(folder))
    assert result.exit_code == 0, result.output
    assert result.stdout == "hello is active: version 3, feedfeedfeed\n"
    (asked,) = platform.requests("POST", "/agents/hello/upload?auto_deploy=true")
    assert names(uploaded(asked)) == ["castari.json", "package.json", "src/index.ts"]
    assert asked.headers["authorization"] == "Bearer cast_abcdefgh_0123456789"


def test_deploy_says_each_step_with_its_time_on_stderr(
    cast: Cast, platform: FakePlatform, folder: Path
) -> None:
    accept(platform, deploying("installing dependencies"), active())
    said = cast("deploy", "--folder", str(folder)).stderr
    for line in (
        "packed 3 files, ",
        "uploaded feedfeedfeed",
        "  installing dependencies",
        "built, and switched",
    ):
        assert line in said
    assert len(re.findall(r"^✓ .* \d+\.\d s$", said, re.MULTILINE)) == 3


def test_deploy_creates_an_agent_that_is_not_there(cast: Cast, platform: FakePlatform, folder: Path) -> None:
    accept(platform)
    platform.on("GET", "/agents/hello", Reply(404, {"detail": "Agent not found"}), active())
    platform.on("POST", "/agents", Reply(201, agent()))
    assert cast("deploy", "--folder", str(folder)).exit_code == 0
    (asked,) = platform.requests("POST", "/agents")
    assert asked.json == {"name": "Hello", "slug": "hello", "source_type": "local"}


def test_deploy_goes_on_when_another_one_creates_the_agent_first(
    cast: Cast, platform: FakePlatform, folder: Path
) -> None:
    accept(platform)
    missing = Reply(404, {"detail": "Agent not found"})
    platform.on("GET", "/agents/hello", missing, Reply(200, agent()), active())
    platform.on("POST", "/agents", Reply(409, {"detail": "you have an agent of that slug"}))
    assert cast("deploy", "--folder", str(folder)).exit_code == 0


def test_a_slug_on_the_command_line_wins_over_the_folders_own(
    cast: Cast, platform: FakePlatform, folder: Path
) -> None:
    platform.on("GET", "/agents/staging", Reply(200, agent(slug="staging")), active())
    platform.on("POST", "/agents/staging/upload", Reply(200, {"source_hash": "feed" * 16}))
    assert cast("deploy", "staging", "--folder", str(folder)).exit_code == 0


def test_a_git_agent_is_deployed_from_its_repository(cast: Cast, platform: FakePlatform) -> None:
    about = {"source_type": "git", "git_repo_url": "https://example.com/a.git", "git_branch": "next"}
    serving = agent(status="active", active_version=2, **about)
    done = agent(status="active", active_version=3, source_hash="feed" * 16, updated_at=LATER, **about)
    platform.on("GET", "/agents/hello", Reply(200, serving), deploying("cloning"), Reply(200, done))
    platform.on("POST", "/agents/hello/deploy", Reply(202, agent(status="deploying", **about)))
    result = cast("deploy", "hello")
    assert result.exit_code == 0, result.output
    assert result.stdout == "hello is active: version 3, feedfeedfeed\n"
    assert "from https://example.com/a.git, branch next" in result.stderr
    assert platform.requests("POST", "/agents/hello/deploy")


def test_a_folder_that_is_named_is_deployed_also_to_a_git_agent(
    cast: Cast, platform: FakePlatform, folder: Path
) -> None:
    accept(platform, active())
    platform.on("GET", "/agents/hello", Reply(200, agent(source_type="git")), active())
    assert cast("deploy", "hello", "--folder", str(folder)).exit_code == 0
    assert not platform.requests("POST", "/agents/hello/deploy")


def test_a_git_agent_whose_clone_fails_says_why(cast: Cast, platform: FakePlatform) -> None:
    serving = agent(status="active", active_version=2, source_type="git")
    failed = serving | {"status_message": "git clone failed: no such branch", "updated_at": LATER}
    platform.on("GET", "/agents/hello", Reply(200, serving), deploying("cloning"), Reply(200, failed))
    platform.on("POST", "/agents/hello/deploy", Reply(202, serving))
    result = cast("deploy", "hello")
    assert result.exit_code == 1
    assert "git clone failed: no such branch" in result.stderr


def test_a_failed_deploy_prints_the_platforms_reason_and_fails(
    cast: Cast, platform: FakePlatform, folder: Path
) -> None:
    reason = "install: npm install failed: no package `lodahs`: mend package.json"
    accept(platform, deploying("installing"), Reply(200, agent(status="error", status_message=reason)))
    result = cast("deploy", "--folder", str(folder))
    assert result.exit_code == 1
    assert f"error: the deploy failed: {reason}" in result.stderr
    assert result.stdout == ""


def test_a_redeploy_that_failed_is_told_from_one_that_became_active(
    cast: Cast, platform: FakePlatform, folder: Path
) -> None:
    serving = agent(
        status="active", source_hash="0ld", status_message="bundle: no such file", updated_at=LATER
    )
    accept(platform, Reply(200, serving))
    result = cast("deploy", "--folder", str(folder))
    assert result.exit_code == 1
    assert "bundle: no such file" in result.stderr


def test_an_older_error_is_not_taken_for_the_new_deploys(
    cast: Cast, platform: FakePlatform, folder: Path
) -> None:
    accept(platform)
    broken = Reply(200, agent(status="error", status_message="from yesterday"))
    platform.on("GET", "/agents/hello", broken, broken, deploying("unpacking"), active())
    assert cast("deploy", "--folder", str(folder)).exit_code == 0


def test_a_later_deploy_that_won_is_named(cast: Cast, platform: FakePlatform, folder: Path) -> None:
    accept(platform, deploying("installing"), active("another"))
    result = cast("deploy", "--folder", str(folder))
    assert result.exit_code == 1
    assert "a later deploy won" in result.stderr


def test_deploy_gives_up_waiting_after_the_timeout(cast: Cast, platform: FakePlatform, folder: Path) -> None:
    accept(platform, deploying("installing"))
    result = cast("deploy", "--folder", str(folder), "--timeout", "1")
    assert result.exit_code == 1
    assert "not active after 1 s" in result.stderr
    assert "cast agents get hello" in result.stderr


def test_deploy_waits_through_a_short_outage(cast: Cast, platform: FakePlatform, folder: Path) -> None:
    busy = Reply(503, {"detail": "busy"})
    accept(platform, busy, Reply(429, {"detail": "slow down"}, {"Retry-After": "0"}), active())
    assert cast("deploy", "--folder", str(folder)).exit_code == 0


def test_a_large_bundle_goes_by_presigned_url_without_the_key(
    cast: Cast, platform: FakePlatform, folder: Path
) -> None:
    content = os.urandom(5 * 1024 * 1024)
    (folder / "model.bin").write_bytes(content)
    ticket = {
        "upload_url": f"{platform.url}/s3/bundle?X-Amz-Signature=s3cret",
        "headers": {"Content-Type": "x/y"},
    }
    platform.on("POST", "/agents/hello/upload-url", Reply(201, ticket))
    platform.on("PUT", "/s3/bundle", Reply(200, {}))
    platform.on(
        "GET", "/agents/hello", Reply(200, agent()), Reply(200, agent(status="error", updated_at=LATER))
    )
    cast("deploy", "--folder", str(folder))
    (stored,) = platform.requests("PUT", "/s3/bundle?X-Amz-Signature=s3cret")
    assert "authorization" not in stored.headers
    assert stored.headers["content-type"] == "x/y"
    (wanted,) = platform.requests("POST", "/agents/hello/upload-url")
    assert wanted.json == {"size_bytes": len(stored.body), "filename": "bundle.tar.gz"}
    platform.on("GET", "/agents/hello", Reply(200, agent()), active(hashlib.sha256(stored.body).hexdigest()))
    assert cast("deploy", "--folder", str(folder)).exit_code == 0


def test_a_refused_presigned_url_is_an_error_that_does_not_show_the_signature(
    cast: Cast, platform: FakePlatform, folder: Path
) -> None:
    (folder / "model.bin").write_bytes(os.urandom(5 * 1024 * 1024))
    ticket = {"upload_url": f"{platform.url}/s3/bundle?X-Amz-Signature=s3cret", "headers": {}}
    platform.on("GET", "/agents/hello", Reply(200, agent()))
    platform.on("POST", "/agents/hello/upload-url", Reply(201, ticket))
    platform.on("PUT", "/s3/bundle", Reply(403, {}))
    result = cast("deploy", "--folder", str(folder))
    assert result.exit_code == 1
    assert "S3 answered 403" in result.stderr
    assert "s3cret" not in result.output


def test_what_may_hold_secrets_is_left_out_with_a_warning(
    cast: Cast, platform: FakePlatform, folder: Path
) -> None:
    accept(platform, active())
    for name in (".env", ".npmrc", "server.key"):
        (folder / name).write_text("hunter2")
    (folder / "node_modules/left").mkdir(parents=True)
    (folder / "node_modules/left/pad.js").write_text("")
    (folder / "outside").symlink_to("/etc/passwd")
    result = cast("deploy", "--folder", str(folder))
    (asked,) = platform.requests("POST", "/agents/hello/upload?auto_deploy=true")
    assert names(uploaded(asked)) == ["castari.json", "package.json", "src/index.ts"]
    assert "left out, for they may hold secrets: .env, .npmrc, server.key" in result.stderr
    assert "left out, for they are links or no files: outside" in result.stderr


@pytest.mark.parametrize(
    ("ignored", "way"), [("src/\n", "`!/src` in .castariignore"), ("castari.json\n", "`!/castari.json`")]
)
def test_an_ignored_file_that_the_agent_needs_stops_the_deploy(
    cast: Cast, platform: FakePlatform, folder: Path, ignored: str, way: str
) -> None:
    (folder / ".gitignore").write_text(ignored)
    result = cast("deploy", "--folder", str(folder))
    assert result.exit_code == 1
    assert "left out of the bundle" in result.stderr
    assert way in result.stderr
    assert platform.asked == []


def test_castariignore_brings_back_what_git_ignores(cast: Cast, platform: FakePlatform, folder: Path) -> None:
    accept(platform, active())
    (folder / ".gitignore").write_text("src/\n")
    (folder / ".castariignore").write_text("!/src\n")
    assert cast("deploy", "--folder", str(folder)).exit_code == 0


def test_a_folder_without_castari_json_is_refused_before_anything_is_asked(
    cast: Cast, platform: FakePlatform, tmp_path: Path
) -> None:
    result = cast("deploy", "--folder", str(tmp_path))
    assert result.exit_code == 1
    assert "error: castari.json not found" in result.stderr
    assert "cast init" in result.stderr
    assert platform.asked == []


def test_deploy_prints_the_agent_as_json_for_scripts(
    cast: Cast, platform: FakePlatform, folder: Path
) -> None:
    accept(platform, active())
    result = cast("deploy", "--folder", str(folder), "--json")
    assert json.loads(result.stdout)["active_version"] == 3


def test_the_platforms_words_cannot_command_the_terminal(
    cast: Cast, platform: FakePlatform, folder: Path
) -> None:
    accept(platform, Reply(200, agent(status="error", status_message="\x1b[2Jgone", updated_at=LATER)))
    assert "\x1b" not in cast("deploy", "--folder", str(folder)).output
