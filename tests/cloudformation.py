"""Reads template.yaml and makes its tables, so that tests run on the real keys and indexes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

TEMPLATE = Path(__file__).parents[1] / "template.yaml"
_TABLE_PROPERTIES = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms (`!Ref x`) as one-key mappings."""


def _intrinsic(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {suffix: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)


def load_template() -> dict[str, Any]:
    """Return the template with `!Ref x` as {"Ref": "x"}."""
    template: dict[str, Any] = yaml.load(TEMPLATE.read_text(), _Loader)  # noqa: S506 - SafeLoader and tags
    return template


def tables() -> dict[str, dict[str, Any]]:
    """Return what makes each table, by its environment variable, such as AGENTS_TABLE."""
    template = load_template()
    resources = template["Resources"]
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    return {
        variable: {
            name: resources[value["Ref"]]["Properties"][name]
            for name in _TABLE_PROPERTIES
            if name in resources[value["Ref"]]["Properties"]
        }
        for variable, value in variables.items()
        if variable.endswith("_TABLE")
    }


def create_tables(client: "DynamoDBClient", prefix: str) -> dict[str, str]:
    """Make every table of the template and return the environment that names them."""
    environment = {}
    for variable, definition in tables().items():
        environment[variable] = f"{prefix}-{variable.lower()}"
        client.create_table(TableName=environment[variable], **definition)
    return environment
