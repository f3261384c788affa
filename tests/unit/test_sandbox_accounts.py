"""A sandbox's user database, which is read again only where it is another one."""

import os
from pathlib import Path

import pytest

from local.sandboxes.envd import accounts
from local.sandboxes.envd.accounts import Accounts
from local.sandboxes.envd.errors import ConnectError

OTHER = "other:x:1001:1001::/home/other:/bin/sh\n"


@pytest.fixture
def passwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for /etc/passwd."""
    path, rows = tmp_path / "passwd", accounts._rows
    path.write_text("user:x:1000:1000::/home/user:/bin/sh\n")
    monkeypatch.setattr(accounts, "_rows", lambda _, columns: rows(str(path), columns))
    return path


def test_an_account_counts_as_soon_as_it_is_written(passwd: Path) -> None:
    with pytest.raises(ConnectError, match="no user 'other'"):
        Accounts().find("other")
    with passwd.open("a") as file:
        file.write(OTHER)
    assert Accounts().find("other").uid == 1001


def test_a_file_that_takes_its_place_counts_even_with_its_size_and_time(passwd: Path) -> None:
    assert Accounts().find("user").uid == 1000
    old = passwd.stat()
    new = passwd.with_name("new")
    new.write_text("user:x:1002:1000::/home/user:/bin/sh\n")
    os.utime(new, ns=(old.st_atime_ns, old.st_mtime_ns))
    new.replace(passwd)
    assert Accounts().find("user").uid == 1002


def test_a_file_that_is_gone_has_no_accounts(passwd: Path) -> None:
    Accounts().find("user")
    passwd.unlink()
    with pytest.raises(ConnectError, match="no user 'user'"):
        Accounts().find("user")


def test_the_last_row_of_a_name_counts_and_broken_rows_do_not(passwd: Path) -> None:
    passwd.write_text("\nuser:x\nuser:x:no:1::/:/\nuser:x:5:5::/five:/\nuser:x:6:6::/six:/\n" + OTHER)
    assert (Accounts().find("user").uid, Accounts().find("user").home) == (6, "/six")
