"""Which files go into a bundle: what git would keep, and never a secret."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cast.errors import CastError
from cast.selection import select_files

NAMES = st.sampled_from(["a", "b", "c.log", "d.txt", "build", "keep.log", "x y", "ü"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
SHAPES = (
    "*.log", "build", "a", "b", "*", "?", "[ab]", "[!ab]", "[^a-c]", "[[:alpha:]]", "[]a]", "[b-]", "**",
    "***", "a**", "keep.log", "x y", "x\\ y", "a/b", "[a/b]", "a[/]b", "[\\a]", "??",
)  # fmt: skip
PATTERNS = st.one_of(
    PATHS,
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "!", "!", "/", "!/", "**/", "a/", "\\"]),
        st.sampled_from(SHAPES),
        st.sampled_from(["", "/", "/*", "/**", "/**/b"]),
        st.sampled_from(["", " ", "  "]),
    ),
    st.sampled_from(["", "# comment", "\\#", "!", "!!a", "/", "//", "[", "[]", "a[", "a\\", "a\r", "a\\ "]),
)
RULES = st.lists(PATTERNS, max_size=5).map("\n".join)


def make(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = folder / name
        # A name may be a file in one path and a folder in another: the first one stays.
        if not any(parent.is_file() for parent in path.parents) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)


def kept_by_git(folder: Path) -> list[str]:
    """Return what git would add, by its own reading of the ignore files."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "-q"], cwd=folder, env=environment, check=True, capture_output=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--others", "--exclude-per-directory=.gitignore"],
        cwd=folder, env=environment, check=True, capture_output=True,
    )  # fmt: skip
    return sorted((os.fsdecode(name) for name in listed.stdout.split(b"\0") if name), key=os.fsencode)


def selected(folder: Path) -> list[str]:
    return [path.as_posix() for path in select_files(folder).files]


@given(st.dictionaries(PATHS, st.just(""), max_size=12), RULES, RULES)
@example({"a/b/c.log": "", "a/keep.log": ""}, "*.log\n!keep.log", "!c.log")
@example({"a/b": ""}, "a/*\n!a/b", "")
@example({"a/a": ""}, "", "a\n!a**/*")
@example({"a/ab/c": ""}, "a/a**", "")
@settings(max_examples=300, deadline=None)
def test_gitignore_files_mean_what_git_says_they_mean(files: dict[str, str], outer: str, inner: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make(folder, {**files, "a/z": ""})
        (folder / ".gitignore").write_text(outer)
        if (folder / "a").is_dir():
            (folder / "a/.gitignore").write_text(inner)
        assert selected(folder) == kept_by_git(folder)


NEVER = st.sampled_from(
    [
        "node_modules",
        ".git",
        ".env",
        ".env.local",
        ".npmrc",
        ".aws",
        ".ssh",
        "id_rsa",
        "server.pem",
        "tls.KEY",
    ]
)
ANY_PATH = st.lists(st.one_of(NAMES, NEVER), min_size=1, max_size=4)


@given(st.lists(ANY_PATH, max_size=12), st.sampled_from(["", "!*", "!.env\n!node_modules/\n!**/.npmrc"]))
@settings(max_examples=200, deadline=None)
def test_no_rule_brings_in_what_may_hold_secrets(paths: list[list[str]], rules: str) -> None:
    never = {"node_modules", ".git", ".env", ".env.local", ".npmrc", ".aws", ".ssh", "id_rsa", "server.pem"}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make(folder, {"/".join(parts): "hunter2" for parts in paths})
        (folder / ".castariignore").write_text(rules)
        for path in select_files(folder).files:
            assert not {part.lower() for part in path.parts} & (never | {"tls.key"})


def test_castariignore_has_the_last_word(tmp_path: Path) -> None:
    make(tmp_path, {"dist/index.js": "", "notes.md": "", "src/index.ts": ""})
    (tmp_path / ".gitignore").write_text("dist/\n")
    (tmp_path / ".castariignore").write_text("!dist/\nnotes.md\n")
    assert selected(tmp_path) == [".castariignore", ".gitignore", "dist/index.js", "src/index.ts"]


def test_a_secret_that_is_ignored_anyway_is_not_worth_a_warning(tmp_path: Path) -> None:
    make(tmp_path, {".env": "", "sub/.env": "", ".env.example": ""})
    (tmp_path / ".gitignore").write_text("/.env\n")
    selection = select_files(tmp_path)
    assert [str(path) for path in selection.secrets] == ["sub/.env"]
    assert [str(path) for path in selection.files] == [".env.example", ".gitignore"]


def test_links_and_pipes_are_left_out_and_never_followed(tmp_path: Path) -> None:
    make(tmp_path, {"a": ""})
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "file").symlink_to(tmp_path / "a")
    os.mkfifo(tmp_path / "pipe")
    selection = select_files(tmp_path)
    assert [str(path) for path in selection.files] == ["a"]
    assert [str(path) for path in selection.links] == ["file", "loop", "pipe"]


def test_a_folder_without_end_is_refused(tmp_path: Path) -> None:
    make(tmp_path, {"/".join(["d"] * 70) + "/f": ""})
    with pytest.raises(CastError, match="nested too deep"):
        select_files(tmp_path)


def test_a_name_that_is_no_utf8_is_found(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_text("")
    assert len(select_files(tmp_path).files) == 1
