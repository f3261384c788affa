"""castari.json: what is wrong with it is said by field."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cast.errors import CastError
from cast.manifest import Manifest, read_manifest
from cast.slugs import SLUG, slug_of
from castari.schemas.fields import SLUG_PATTERN
from castari.services.agents import derive_slug

GOOD = {"name": "My Agent", "version": "1.2.3-rc.1+build.5", "entrypoint": "src/index.ts", "runtime": "node"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/index.ts").write_text("")
    return tmp_path


def refusal(folder: Path, content: str | bytes) -> CastError:
    (folder / "castari.json").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(CastError) as caught:
        read_manifest(folder)
    assert caught.value.remedy
    return caught.value


def test_a_good_manifest_is_read_and_keys_that_are_not_known_are_no_matter(folder: Path) -> None:
    (folder / "castari.json").write_text(json.dumps(GOOD | {"build_secrets": ["NPM_TOKEN"], "warm": 2}))
    assert read_manifest(folder) == Manifest("My Agent", "my-agent", "src/index.ts")


def test_a_byte_order_mark_is_no_matter(folder: Path) -> None:
    (folder / "castari.json").write_text(json.dumps(GOOD), encoding="utf-8-sig")
    assert read_manifest(folder).name == "My Agent"


def test_a_slug_of_its_own_wins_over_the_name(folder: Path) -> None:
    (folder / "castari.json").write_text(json.dumps(GOOD | {"slug": "other"}))
    assert read_manifest(folder).slug == "other"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "`name` is missing"),
        ({"name": " "}, "`name` must be a text that is not empty"),
        ({"name": 5}, "`name` must be a text"),
        ({"name": "日本"}, "`slug` is ''"),
        ({"slug": "Not A Slug"}, "`slug` is 'Not A Slug'"),
        ({"slug": "-a"}, "`slug` is '-a'"),
        ({"slug": "a" * 64}, "`slug` is 'aaa"),
        ({"version": "1.2"}, "`version` is '1.2', which is no semantic version"),
        ({"version": "01.2.3"}, "`version` is '01.2.3'"),
        ({"version": 1}, "`version` is 1"),
        ({"runtime": "go"}, "`runtime` is 'go', which is not offered"),
        ({"entrypoint": None}, "`entrypoint` is missing"),
        ({"entrypoint": "src/main.ts"}, "`entrypoint` names 'src/main.ts', and there is no such file"),
        ({"entrypoint": "src"}, "`entrypoint` names 'src', and there is no such file"),
        ({"entrypoint": "../index.ts"}, "`entrypoint` is '../index.ts', which leaves the folder"),
        ({"entrypoint": "src/../../x"}, "which leaves the folder"),
        ({"entrypoint": "/etc/passwd"}, "`entrypoint` is '/etc/passwd', which leaves the folder"),
        ({"entrypoint": "src\\index.ts"}, "which leaves the folder"),
    ],
)
def test_a_wrong_field_is_named(folder: Path, change: dict[str, object], message: str) -> None:
    content = {key: value for key, value in (GOOD | change).items() if value is not None}
    assert message in str(refusal(folder, json.dumps(content)))


def test_an_entrypoint_that_is_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside.ts"
    outside.write_text("")
    (folder / "link.ts").symlink_to(outside)
    said = str(refusal(folder, json.dumps(GOOD | {"entrypoint": "link.ts"})))
    assert "is a link that leaves the folder" in said


def test_broken_json_is_told_with_its_line(folder: Path) -> None:
    said = str(refusal(folder, '{\n  "name": "x"\n  "version": "1.0.0"\n}'))
    assert said == "castari.json is not JSON: Expecting ',' delimiter at line 3, column 3"


@pytest.mark.parametrize(
    ("content", "message"), [(b"[]", "does not hold an object"), (b'{"name": "\xff"}', "is not UTF-8 text")]
)
def test_what_is_no_object_or_no_text_is_refused(folder: Path, content: bytes, message: str) -> None:
    assert message in str(refusal(folder, content))


def test_a_missing_manifest_says_where_it_was_looked_for(folder: Path) -> None:
    with pytest.raises(CastError, match=r"castari\.json not found in ") as caught:
        read_manifest(folder)
    assert str(folder) in str(caught.value)


@given(st.text(max_size=100))
def test_the_client_and_the_platform_make_the_same_slug_of_a_name(name: str) -> None:
    slug = slug_of(name)
    if slug:
        assert slug == derive_slug(name)
        assert SLUG.fullmatch(slug)


def test_the_client_and_the_platform_take_the_same_slugs() -> None:
    assert f"^{SLUG.pattern}$" == SLUG_PATTERN


def test_the_entrypoint_may_be_what_a_build_script_will_write(folder: Path) -> None:
    built = GOOD | {"entrypoint": "dist/index.js", "build": True}
    (folder / "castari.json").write_text(json.dumps(built))
    assert read_manifest(folder) == Manifest("My Agent", "my-agent", "dist/index.js", is_built=True)


def test_a_python_agent_is_as_good(folder: Path) -> None:
    (folder / "main.py").write_text("")
    (folder / "castari.json").write_text(json.dumps(GOOD | {"entrypoint": "main.py", "runtime": "python"}))
    assert read_manifest(folder).entrypoint == "main.py"
