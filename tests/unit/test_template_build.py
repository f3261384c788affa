"""The template on E2B is made from the same definition as the local root filesystem."""

import json

from e2b import Template

from base_template.build import describe
from local.sandboxes.definition import load_definition

DEFINITION = load_definition(machine="x86_64")


def test_all_that_the_definition_names_is_in_the_template() -> None:
    steps = Template.to_json(describe(DEFINITION))
    for package, version in DEFINITION.npm_packages.items():
        assert f"{package}@{version}" in steps
    for word in (
        *DEFINITION.apt,
        *DEFINITION.directories,
        *DEFINITION.npm_commands,
        *DEFINITION.env.values(),
    ):
        assert word in steps


def test_agents_run_as_the_definitions_user_and_find_the_runner_where_it_is_started() -> None:
    built = json.loads(Template.to_json(describe(DEFINITION)))
    kinds = [(step["type"], step["args"]) for step in built["steps"]]
    copied = [args for kind, args in kinds if kind == "COPY"]
    assert [args[:2] for args in copied] == [["files", "/opt/castari"]]
    assert ("USER", ["user"]) in kinds
    assert kinds[-1] == ("WORKDIR", ["/home/user"])
