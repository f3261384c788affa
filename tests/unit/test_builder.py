"""The builder's decisions, without a sandbox: who installs, what stays beside a bundle, what git may do."""

import base64
import json
import time
from pathlib import Path

import pytest
from builder import command, git_settings, managers, native
from builder.failure import StepFailed
from builder.places import Places

BERRY = "# generated\n\n__metadata:\n  version: {}\n  cacheKey: 10c0\n"


def chosen(folder: Path, package: dict[str, str], lockfiles: dict[str, str]) -> list[str]:
    for name, content in lockfiles.items():
        (folder / name).write_text(content)
    manager = managers.choose(folder, package, folder / "caches")
    return [manager.command, *manager.install[:2]]


@pytest.mark.parametrize(
    ("lockfiles", "words"),
    [
        ({}, ["npm", "install"]),
        ({"package-lock.json": "{}"}, ["npm", "ci"]),
        ({"npm-shrinkwrap.json": "{}"}, ["npm", "ci"]),
        ({"pnpm-lock.yaml": ""}, ["pnpm", "install", "--frozen-lockfile"]),
        ({"yarn.lock": "# yarn lockfile v1\n"}, ["yarn", "install", "--frozen-lockfile"]),
        ({"yarn.lock": BERRY.format(10)}, ["yarn-berry", "install", "--immutable"]),
        ({"yarn.lock": BERRY.format(8)}, ["yarn-berry", "install", "--no-immutable"]),
    ],
)
def test_the_lockfile_decides_which_manager_installs(
    tmp_path: Path, lockfiles: dict[str, str], words: list[str]
) -> None:
    assert chosen(tmp_path, {}, lockfiles)[: len(words)] == words


@pytest.mark.parametrize(
    ("named", "lockfiles", "words"),
    [
        ("pnpm@9.1.0", {}, ["pnpm", "install", "--no-frozen-lockfile"]),
        ("yarn@1.22.0", {}, ["yarn", "install"]),
        ("yarn@4.1.0", {}, ["yarn-berry", "install"]),
        ("bun@1.0.0", {}, ["npm", "install"]),
        ("pnpm@9.1.0", {"package-lock.json": "{}", "pnpm-lock.yaml": ""}, ["pnpm", "install"]),
        ("pnpm@9.1.0", {"package-lock.json": "{}"}, ["npm", "ci"]),
    ],
)
def test_the_named_manager_decides_where_lockfiles_do_not(
    tmp_path: Path, named: str, lockfiles: dict[str, str], words: list[str]
) -> None:
    assert chosen(tmp_path, {"packageManager": named}, lockfiles)[: len(words)] == words


def is_running(pid: int) -> bool:
    """Tell whether a process runs; a zombie that nobody has reaped does not."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def _install(folder: Path, *files: str) -> None:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")


def test_packages_with_native_files_are_found_by_their_names(tmp_path: Path) -> None:
    modules = tmp_path / "node_modules"
    _install(
        modules,
        "sharp/build/Release/sharp.node",
        "@scope/fast/binding.gyp",
        "plain/index.js",
        "plain/node_modules/tiny/tiny.wasm",
    )
    assert list(native.packages(modules)) == ["@scope/fast", "sharp", "tiny"]


def test_a_native_package_is_left_beside_the_bundle_only_if_the_bundle_finds_that_very_one(
    tmp_path: Path,
) -> None:
    modules = tmp_path / "node_modules"
    _install(modules, "top/a.node", "twice/a.node", "other/node_modules/twice/a.node")
    _install(modules, "other/node_modules/deep/a.node", ".pnpm/link@1/node_modules/link/a.node")
    (modules / "link").symlink_to(".pnpm/link@1/node_modules/link")
    known = native.packages(modules)
    assert native.are_found_from(tmp_path, known, ["top", "link"])
    assert not native.are_found_from(tmp_path, known, ["twice"])
    assert not native.are_found_from(tmp_path, known, ["deep"])


def test_only_native_packages_that_are_imported_count(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    imports = [
        {"path": "sharp/lib/x.js", "external": True},
        {"path": "node:fs", "external": True},
        {"path": "src/own.ts"},
    ]
    report.write_text(json.dumps({"outputs": {"a.mjs": {"imports": imports}}}))
    assert native.imported(report, ["sharp", "unused"]) == ["sharp"]


def _git_settings(url: str, folder: Path) -> dict[str, str]:
    environment = git_settings.environment(Places(folder), url, ["192.0.2.7", "192.0.2.8"])
    count = int(environment["GIT_CONFIG_COUNT"])
    return {
        environment[f"GIT_CONFIG_KEY_{place}"]: environment[f"GIT_CONFIG_VALUE_{place}"]
        for place in range(count)
    }


def test_git_may_speak_https_to_the_checked_addresses_and_follow_nothing(tmp_path: Path) -> None:
    settings = _git_settings("https://git.example/a.git", tmp_path)
    assert settings["protocol.allow"] == "never"
    assert settings["protocol.https.allow"] == "always"
    assert settings["http.followRedirects"] == "false"
    assert settings["http.curloptResolve"] == "git.example:443:192.0.2.7,192.0.2.8"
    assert not any("extraHeader" in name for name in settings)


def test_the_token_goes_to_the_server_of_the_repository_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TOKEN", "token-1")
    settings = _git_settings("https://git.example:8443/a.git", tmp_path)
    encoded = base64.b64encode(b"x-access-token:token-1").decode()
    assert settings["http.https://git.example:8443/.extraHeader"] == f"Authorization: Basic {encoded}"


def test_a_command_that_succeeds_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = command.run(["sh", "-c", "echo out; echo err >&2"], tmp_path, {"PATH": "/bin"}, 30)
    assert (ended.exit_code, ended.tail) == (0, "out\nerr\n")
    frames = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert "".join(frame["text"] for frame in frames) == "out\nerr\n"


def test_a_command_that_prints_without_end_is_ended(tmp_path: Path) -> None:
    ended = command.run(["sh", "-c", "yes $0$0$0$0$0$0", "x" * 1000], tmp_path, {"PATH": "/bin:/usr/bin"}, 60)
    assert ended.exit_code is None
    assert "printed more than 64 MB" in ended.how


def test_a_command_that_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    script = "sleep 600 & echo $!; wait"
    ended = command.run(["sh", "-c", script], tmp_path, {"PATH": "/bin:/usr/bin"}, 1.0)
    assert ended.exit_code is None
    ends_at = time.monotonic() + 10
    while is_running(int(ended.tail)):
        assert time.monotonic() < ends_at
    assert "did not end within" in ended.how


def test_a_command_whose_child_holds_the_pipe_is_over_when_it_ends(tmp_path: Path) -> None:
    ended = command.run(["sh", "-c", "sleep 600 & echo done"], tmp_path, {"PATH": "/bin:/usr/bin"}, 60)
    assert ended.exit_code == 0


def test_a_command_that_must_succeed_fails_with_its_name_its_end_and_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match=r"npm install failed: `npm ci` ended with exit code 3") as caught:
        command.must_succeed(
            ["sh", "-c", "echo no such package; exit 3"],
            tmp_path,
            {"PATH": "/bin"},
            30,
            what="npm install",
            shown="npm ci",
            remedy="mend it",
        )
    assert (caught.value.remedy, caught.value.tail) == ("mend it", "no such package\n")
