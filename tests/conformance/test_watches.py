"""Watching directories: what changed is told, by a stream (async) and by asking (sync)."""

from typing import Any

import pytest
from e2b import NotFoundException, SandboxException

from tests.conformance.conftest import Sdk, until


class Watch:
    """A watch of either flavour, and the changes that it told so far."""

    def __init__(self, sdk: Sdk, sandbox: Any) -> None:
        self._sdk, self._sandbox = sdk, sandbox
        self._handle: Any = None
        self.events: list[Any] = []

    async def start(self, path: str, **options: Any) -> "Watch":
        if self._sdk.calls_back:
            options["on_event"] = self.events.append
        self._handle = await self._sdk(self._sandbox.files.watch_dir, path, **options)
        return self

    async def stop(self) -> None:
        await self._sdk(self._handle.stop)

    async def until(self, name: str, kind: str) -> Any:
        async def told() -> bool:
            if not self._sdk.calls_back:
                self.events += await self._sdk(self._handle.get_new_events)
            return (name, kind) in self.told()

        await until(told)
        return next(each for each in self.events if (each.name, each.type.value) == (name, kind))

    def told(self) -> list[tuple[str, str]]:
        return [(each.name, each.type.value) for each in self.events]


@pytest.fixture
async def watch(sdk: Sdk, sandbox: Any) -> Watch:
    """Ready to watch `d`."""
    await sdk(sandbox.files.make_dir, "d")
    return Watch(sdk, sandbox)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("touch d/new", "create"),
        ("echo x > d/new", "write"),
        ("touch d/new; rm d/new", "remove"),
        ("touch d/new; chmod 600 d/new", "chmod"),
        ("touch d/new; mv d/new elsewhere", "rename"),
        ("touch new; mv new d", "create"),
    ],
)
async def test_a_change_is_told(sdk: Sdk, sandbox: Any, watch: Watch, command: str, kind: str) -> None:
    await watch.start("d")
    await sdk(sandbox.commands.run, command)
    assert (await watch.until("new", kind)).entry is None


async def test_changes_through_the_file_calls_are_told(sdk: Sdk, sandbox: Any, watch: Watch) -> None:
    await watch.start("d")
    await sdk(sandbox.files.write, "d/a", "x")
    await watch.until("a", "write")


async def test_what_changes_below_is_told_only_when_asked_for(sdk: Sdk, sandbox: Any, watch: Watch) -> None:
    await watch.start("d")
    await sdk(sandbox.commands.run, "mkdir d/e; touch d/e/f; touch d/last")
    await watch.until("last", "create")
    assert not [name for name, _ in watch.told() if "f" in name]


async def test_a_recursive_watch_tells_of_old_and_new_directories(
    sdk: Sdk, sandbox: Any, watch: Watch
) -> None:
    await sdk(sandbox.files.make_dir, "d/old/deep")
    await watch.start("d", recursive=True)
    await sdk(sandbox.commands.run, "touch d/old/deep/a; mkdir -p d/x/y/z; touch d/x/y/z/b")
    await watch.until("old/deep/a", "create")
    await watch.until("x/y/z/b", "create")


async def test_a_directory_that_moves_keeps_being_watched(sdk: Sdk, sandbox: Any, watch: Watch) -> None:
    await sdk(sandbox.files.make_dir, "d/a/b")
    await watch.start("d", recursive=True)
    await sdk(sandbox.files.rename, "d/a", "d/c")
    await watch.until("c", "create")
    await sdk(sandbox.files.write, "d/c/b/file", "")
    await watch.until("c/b/file", "create")


async def test_an_event_can_bring_its_entry(sdk: Sdk, sandbox: Any, watch: Watch) -> None:
    await watch.start("d", include_entry=True)
    await sdk(sandbox.files.write, "d/a", "")
    assert (await watch.until("a", "create")).entry.path.endswith("/d/a")


async def test_a_stopped_watch_is_over(sdk: Sdk, sandbox: Any, watch: Watch) -> None:
    await watch.start("d")
    await watch.stop()
    after = await Watch(sdk, sandbox).start("d")
    await sdk(sandbox.files.write, "d/a", "")
    await after.until("a", "create")
    assert watch.events == []


async def test_what_is_not_there_can_not_be_watched(watch: Watch) -> None:
    with pytest.raises(NotFoundException):
        await watch.start("no-such")


async def test_a_file_can_not_be_watched(sdk: Sdk, sandbox: Any, watch: Watch) -> None:
    await sdk(sandbox.files.write, "file", "")
    with pytest.raises(SandboxException, match="is not a directory"):
        await watch.start("file")
