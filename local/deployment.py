"""Puts the template on the local AWS through CloudFormation, and again when code has changed."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from local.identity import REGION, Identity
from local.places import REPOSITORY

_CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")
_CODE_PROPERTY = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}
_POLL_SECONDS = 0.05
_DEADLINE_SECONDS = 120.0


class DeploymentFailed(Exception):
    """CloudFormation refused or rolled back; the message names the resources and why."""


def client(service: str, identity: Identity) -> Any:  # noqa: ANN401 - boto3 makes clients at run time
    """Return a client of the local AWS that acts as the operator."""
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=identity.aws_url,
        region_name=REGION,
        aws_access_key_id=identity.root_key_id,
        aws_secret_access_key=identity.root_secret,
    )


def load_template() -> dict[str, Any]:
    """Return template.yaml with the short forms of its functions written out."""
    template: dict[str, Any] = yaml_parse((REPOSITORY / "template.yaml").read_text())
    return template


def deploy(
    template: Mapping[str, Any],
    archives: Mapping[str, Path],
    parameters: Mapping[str, str],
    identity: Identity,
) -> bool:
    """Create or update the stack and wait. Returns whether anything changed. Raises `DeploymentFailed`."""
    bucket = f"{identity.stack_name}-code"
    keys = _upload(archives, bucket, identity)
    body = json.dumps(_with_batch_rights(_with_numbers(_with_code(template, bucket, keys), parameters)))
    s3, formation = client("s3", identity), client("cloudformation", identity)
    s3.put_object(
        Bucket=bucket, Key="template.json", Body=body
    )  # over the 51,200 bytes of a template in a request
    arguments = {
        "StackName": identity.stack_name,
        "TemplateURL": f"{identity.aws_url}/{bucket}/template.json",
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        "Capabilities": list(_CAPABILITIES),
    }
    try:
        _create_or_update(formation, arguments)
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            return False
        raise DeploymentFailed(str(error)) from error
    _wait(formation, identity.stack_name)
    _keep_time_to_live(template, identity)
    return True


def outputs(identity: Identity) -> dict[str, str]:
    """Return the stack's outputs by name."""
    stack = client("cloudformation", identity).describe_stacks(StackName=identity.stack_name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def function_environment(logical_id: str, identity: Identity) -> dict[str, str]:
    """Return the variables that the template gives a function, such as the names of tables."""
    resource = client("cloudformation", identity).describe_stack_resource(
        StackName=identity.stack_name, LogicalResourceId=logical_id
    )
    name = resource["StackResourceDetail"]["PhysicalResourceId"]
    function = client("lambda", identity).get_function_configuration(FunctionName=name)
    variables: dict[str, str] = function["Environment"]["Variables"]
    return variables


def _upload(archives: Mapping[str, Path], bucket: str, identity: Identity) -> dict[str, str]:
    s3 = client("s3", identity)
    s3.create_bucket(Bucket=bucket)
    for path in archives.values():
        s3.put_object(Bucket=bucket, Key=path.name, Body=path.read_bytes())
    return {logical_id: path.name for logical_id, path in archives.items()}


def _with_code(template: Mapping[str, Any], bucket: str, keys: Mapping[str, str]) -> dict[str, Any]:
    resources = dict(template["Resources"])
    for logical_id, key in keys.items():
        resource = resources[logical_id]
        code = {_CODE_PROPERTY[resource["Type"]]: f"s3://{bucket}/{key}"}
        resources[logical_id] = {**resource, "Properties": {**resource["Properties"], **code}}
    return {**template, "Resources": resources}


def _with_numbers(template: dict[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """Put numbers where the local AWS takes a Number parameter as text and later compares it."""
    for resource in template["Resources"].values():
        for event in resource.get("Properties", {}).get("Events", {}).values():
            scaling = event["Properties"].get("ScalingConfig", {})
            if isinstance(limit := scaling.get("MaximumConcurrency"), dict):
                name = limit["Ref"]
                scaling["MaximumConcurrency"] = int(
                    parameters.get(name, template["Parameters"][name]["Default"])
                )
    return template


def _with_batch_rights(template: dict[str, Any]) -> dict[str, Any]:
    """Grant the sending of many messages by its name: on AWS it is in the right to send one."""
    for resource in template["Resources"].values():
        for policy in resource.get("Properties", {}).get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                if statement["Action"] == "sqs:SendMessage":
                    statement["Action"] = ["sqs:SendMessage", "sqs:SendMessageBatch"]
    return template


def _keep_time_to_live(template: Mapping[str, Any], identity: Identity) -> None:
    """Set what the local AWS leaves out of a table that CloudFormation makes."""
    formation, tables = client("cloudformation", identity), client("dynamodb", identity)
    for logical_id, resource in template["Resources"].items():
        if specification := resource.get("Properties", {}).get("TimeToLiveSpecification"):
            table = formation.describe_stack_resource(
                StackName=identity.stack_name, LogicalResourceId=logical_id
            )
            tables.update_time_to_live(
                TableName=table["StackResourceDetail"]["PhysicalResourceId"],
                TimeToLiveSpecification=specification,
            )


def _create_or_update(formation: Any, arguments: Mapping[str, Any]) -> None:  # noqa: ANN401
    try:
        formation.describe_stacks(StackName=arguments["StackName"])
    except ClientError:
        formation.create_stack(**arguments, OnFailure="DO_NOTHING")
    else:
        formation.update_stack(**arguments)


def _wait(formation: Any, stack_name: str) -> None:  # noqa: ANN401
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while (status := formation.describe_stacks(StackName=stack_name)["Stacks"][0]["StackStatus"]).endswith(
        "_IN_PROGRESS"
    ):
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise DeploymentFailed(f"{stack_name} ended as {status}:\n{_reasons(formation, stack_name)}")


def _reasons(formation: Any, stack_name: str) -> str:  # noqa: ANN401
    events = formation.describe_stack_events(StackName=stack_name)["StackEvents"]
    return "\n".join(
        f"  {event['LogicalResourceId']}: {event.get('ResourceStatusReason', event['ResourceStatus'])}"
        for event in events
        if event["ResourceStatus"].endswith("FAILED")
    )
