"""Builds templates: each step in a sandbox of our own, its files kept after each step for the next build."""

from dataclasses import dataclass, replace

import aiohttp

from local.sandboxes.definition import Definition
from local.sandboxes.engine import EngineError
from local.sandboxes.server import log
from local.sandboxes.server.builds import images
from local.sandboxes.server.builds.archives import Archives
from local.sandboxes.server.builds.catalogue import Built
from local.sandboxes.server.builds.recipe import Recipe, Step, after, key_after, privileges_of
from local.sandboxes.server.builds.record import Build, BuildError
from local.sandboxes.server.builds.work import prepare
from local.sandboxes.server.errors import ApiError
from local.sandboxes.server.guest_command import CommandLostError, run
from local.sandboxes.server.layers import Layers
from local.sandboxes.server.lifecycle import Lifecycle
from local.sandboxes.server.sandbox import Sandbox
from local.sandboxes.server.start_command import NotReadyError, bring_up
from local.sandboxes.server.templates import Template

BUILD_SECONDS = 3600
READY_SECONDS = 300.0
_LOST = (ApiError, EngineError, CommandLostError, aiohttp.ClientError, OSError, EOFError, LookupError)


@dataclass
class _Progress:
    """How far a build is: what it stands on, the sandbox that it works in once it needs one."""

    template: Template
    key: str
    keys: list[str]
    sandbox: Sandbox | None = None


class Builder:
    """Carries builds out."""

    def __init__(
        self, lifecycle: Lifecycle, layers: Layers, archives: Archives, definition: Definition
    ) -> None:
        self._lifecycle, self._layers, self._archives = lifecycle, layers, archives
        self._definition = definition

    async def build(self, build: Build, recipe: Recipe) -> None:
        """Carry a build out to its end, whatever that is; the end is noted in it."""
        build.status = "building"
        try:
            await self._build(build, recipe)
            build.status = "ready"
        except BuildError as error:
            build.fail(error)
        except _LOST as error:
            build.fail(BuildError("finalize", f"the build could not go on: {error}"))
        log.event("template_built", template_id=build.template_id, status=build.status)

    async def _build(self, build: Build, recipe: Recipe) -> None:
        base = replace(self._base(recipe), limits=build.limits)
        build.log(f"[base] FROM {recipe.from_template or recipe.from_image}")
        progress = _Progress(base, " ".join(base.layers), [])
        try:
            fresh = recipe.force
            for number, step in enumerate(recipe.steps, 1):
                fresh = fresh or step.force
                where = f"[{number}/{len(recipe.steps)}]"
                await self._step(build, progress, step, (str(number), where), fresh=fresh)
            built = self._built(build, recipe, progress)
            await self._finalize(build, progress, built)
        finally:
            await self._close(progress)
        keys = progress.keys
        self._layers.templates.add(build.template_id, built, build.tags, keys)
        await self._layers.collect(self._lifecycle.registry)

    def _base(self, recipe: Recipe) -> Template:
        if recipe.from_template:
            try:
                return self._layers.find_template(recipe.from_template)
            except ApiError as error:
                raise BuildError("base", error.message) from error
        image = recipe.from_image or ""
        if recipe.from_image_registry or not images.is_equal(image, self._definition):
            raise BuildError("base", images.why_not(image, self._definition))
        return replace(self._layers.base, privileges="sudo")

    async def _step(
        self, build: Build, progress: _Progress, step: Step, names: tuple[str, str], *, fresh: bool
    ) -> None:
        number, where = names
        template = progress.template
        progress.key = key_after(progress.key, step, template.runtime)
        progress.keys.append(progress.key)
        cached = None if fresh or progress.sandbox else self._cached(progress.key)
        build.log(f"{where} {'CACHED ' if cached else ''}{step}")
        layers = cached or await self._work(build, progress, step, number)
        progress.template = replace(template, layers=layers, runtime=after(template.runtime, step))

    def _cached(self, key: str) -> tuple[str, ...] | None:
        layers = self._layers.templates.cached(key)
        return layers if layers and self._layers.exist(layers) else None

    async def _work(self, build: Build, progress: _Progress, step: Step, number: str) -> tuple[str, ...]:
        if step.type == "ENV":
            return progress.template.layers
        sandbox = progress.sandbox = progress.sandbox or await self._open(progress.template)
        runtime, said = progress.template.runtime, len(build.logs)
        command = await prepare(step, runtime, self._archives, sandbox.upstream)
        if command is not None:
            code = await run(sandbox.guest.processes, command, on_stdout=build.log, on_stderr=build.warn)
            if code != 0:
                tail = "\n".join(each["message"] for each in build.logs[said:][-5:])
                raise BuildError(number, f"step {number} ({step}) failed with exit code {code}:\n{tail}")
        async with self._lifecycle.kept(sandbox) as layers:
            self._layers.templates.remember(build.template_id, progress.key, layers)
        return layers

    async def _open(self, template: Template) -> Sandbox:
        """A sandbox in which steps may do all that root may; its own limits are those of the template."""
        bare = Template(template.template_id, (), template.layers, template.limits, "sudo")
        return await self._lifecycle.make(bare, BUILD_SECONDS)

    def _built(self, build: Build, recipe: Recipe, progress: _Progress) -> Built:
        template = progress.template
        runtime = template.runtime
        if recipe.start_cmd or recipe.ready_cmd:
            runtime = replace(
                runtime, start_command=recipe.start_cmd or "", ready_command=recipe.ready_cmd or ""
            )
        privileges = privileges_of(runtime, template.privileges)
        return Built(build.build_id, template.layers, build.limits, privileges, runtime)

    async def _finalize(self, build: Build, progress: _Progress, built: Built) -> None:
        """See that the start command comes up, in a sandbox like those that will be made."""
        await self._close(progress)
        if not (built.runtime.start_command or built.runtime.ready_command):
            return
        build.log(f"[finalize] start command: {built.runtime.start_command}")
        quiet = replace(built.runtime, start_command="", ready_command="")
        template = Template(
            build.template_id, (), built.layers, built.limits, built.privileges, runtime=quiet
        )
        progress.sandbox = await self._lifecycle.make(template, BUILD_SECONDS)
        try:
            await bring_up(progress.sandbox.guest.processes, built.runtime, READY_SECONDS, build.log)
        except NotReadyError as error:
            raise BuildError("finalize", str(error)) from error

    async def _close(self, progress: _Progress) -> None:
        sandbox, progress.sandbox = progress.sandbox, None
        if sandbox and self._lifecycle.registry.find(sandbox.sandbox_id) is sandbox:
            await self._lifecycle.kill(sandbox, "killed")
