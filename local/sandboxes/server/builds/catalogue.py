"""The catalogue of built templates: names, tags, builds, layers for later builds. It survives the server."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from local.sandboxes.engine import Limits, Privileges
from local.sandboxes.server.runtime import Runtime
from local.sandboxes.server.stored import write_whole
from local.sandboxes.server.templates import DEFAULT_TAG, Template


@dataclass(frozen=True)
class Built:
    """What one build made."""

    build_id: str
    layers: tuple[str, ...]
    limits: Limits
    privileges: Privileges
    runtime: Runtime


@dataclass(frozen=True)
class Tag:
    """Which build a tag names, and since when."""

    build_id: str
    created_at: str


@dataclass
class Entry:
    """A template: its tags, the builds that have one, and the layers after each step by the step's key."""

    template_id: str
    name: str
    tags: dict[str, Tag] = field(default_factory=dict)
    builds: dict[str, Built] = field(default_factory=dict)
    cache: dict[str, tuple[str, ...]] = field(default_factory=dict)


_ENTRIES = TypeAdapter(list[Entry])


class TemplateCatalogue:
    """Templates by id and by name, written to one file at each change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        stored = _ENTRIES.validate_json(path.read_bytes()) if path.exists() else []
        self._entries = {each.template_id: each for each in stored}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def find(self, name: str) -> Entry | None:
        """Look a template up by its id or name, whatever tag follows."""
        wanted, _, _ = name.partition(":")
        return self._entries.get(wanted) or next((each for each in self if each.name == wanted), None)

    def find_built(self, name: str) -> tuple[Entry, Built] | None:
        """Look up what `name:tag` names; without a tag the default one is meant."""
        entry, (_, _, tag) = self.find(name), name.partition(":")
        named = entry and entry.tags.get(tag or DEFAULT_TAG)
        return (entry, entry.builds[named.build_id]) if entry and named else None

    def find_template(self, name: str) -> Template | None:
        """What sandboxes of this name start from."""
        found = self.find_built(name)
        if found is None:
            return None
        entry, built = found
        return Template(
            entry.template_id, (entry.name,), built.layers, built.limits, built.privileges, built.runtime
        )

    def reserve(self, name: str) -> str:
        """The id that belongs to a name, also before anything is built."""
        entry = self.find(name)
        if entry is None:
            entry = Entry(uuid.uuid4().hex[:20], name)
            self._entries[entry.template_id] = entry
        return entry.template_id

    def add(self, template_id: str, built: Built, tags: list[str], keys: list[str]) -> None:
        """Keep a build under its tags, and of the cache only what it used. Raises `LookupError`."""
        entry = self._entries.get(template_id)
        if entry is None:
            raise LookupError("the template was deleted meanwhile")
        entry.builds[built.build_id] = built
        entry.cache = {key: entry.cache[key] for key in keys if key in entry.cache}
        self.tag(entry, built, tags)

    def tag(self, entry: Entry, built: Built, tags: list[str]) -> None:
        """Let tags name a build; what no tag names any more is forgotten."""
        now = datetime.now(UTC).isoformat()
        self._set_tags(entry, {**entry.tags, **{tag: Tag(built.build_id, now) for tag in tags}})

    def untag(self, entry: Entry, tags: list[str]) -> None:
        """Forget tags."""
        self._set_tags(entry, {name: tag for name, tag in entry.tags.items() if name not in tags})

    def cached(self, key: str) -> tuple[str, ...] | None:
        """The layers after a step, if any template has them."""
        return next((each.cache[key] for each in self if key in each.cache), None)

    def remember(self, template_id: str, key: str, layers: tuple[str, ...]) -> None:
        """Keep the layers after a step."""
        if entry := self._entries.get(template_id):
            entry.cache[key] = layers
            self._save()

    def remove(self, name: str) -> bool:
        """Forget a template with all that it has. Tells whether there was one."""
        entry = self.find(name)
        if entry is None:
            return False
        del self._entries[entry.template_id]
        self._save()
        return True

    def layers(self) -> set[str]:
        """All layers that templates stand on, or may again."""
        stacks = [built.layers for each in self for built in each.builds.values()]
        stacks += [layers for each in self for layers in each.cache.values()]
        return {layer for layers in stacks for layer in layers}

    def _set_tags(self, entry: Entry, tags: dict[str, Tag]) -> None:
        entry.tags = tags
        named = {tag.build_id for tag in tags.values()}
        entry.builds = {key: built for key, built in entry.builds.items() if key in named}
        self._save()

    def _save(self) -> None:
        write_whole(self._path, _ENTRIES.dump_json(list(self), indent=1))
