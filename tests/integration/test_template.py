"""What template.yaml promises: each function described, each role least, nothing public, nothing lost."""

from pathlib import Path
from typing import Any

import pytest

from castari.services.claims import MOST_ATTEMPTS as MOST_DEPLOYS
from castari.services.deliveries import MOST_ATTEMPTS
from castari.services.requeues import QUEUE_SECONDS
from castari.settings import Limits, Settings
from tests.cloudformation import load_template

_REPOSITORY = Path(__file__).parents[2]
_TEMPLATE = load_template()
_RESOURCES: dict[str, dict[str, Any]] = _TEMPLATE["Resources"]
_SECRETS = "secretsmanager:"
_PLATFORM_SECRET_READERS = {"Invoke", "Attend", "Start", "Deploy", "Sweep"}


def _of(kind: str) -> dict[str, dict[str, Any]]:
    return {name: each["Properties"] for name, each in _RESOURCES.items() if each["Type"] == kind}


FUNCTIONS = _of("AWS::Serverless::Function")
ROLES = _of("AWS::IAM::Role")


def _statements(role: str) -> list[dict[str, Any]]:
    return [each for policy in ROLES[role]["Policies"] for each in policy["PolicyDocument"]["Statement"]]


def _actions(role: str) -> set[str]:
    found = set()
    for statement in _statements(role):
        action = statement["Action"]
        found |= {action} if isinstance(action, str) else set(action)
    return found


def _resources(role: str, action: str) -> list[Any]:
    found: list[Any] = []
    for statement in _statements(role):
        if action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]):
            resource = statement["Resource"]
            found += resource if isinstance(resource, list) else [resource]
    return found


def test_each_folder_of_functions_is_a_function_and_each_function_has_a_folder() -> None:
    folders = {path.parent.name for path in (_REPOSITORY / "functions").glob("*/app.py")}
    assert {name.removesuffix("Function").lower() for name in FUNCTIONS} == folders


def test_every_setting_is_set_for_every_function() -> None:
    variables = set(_TEMPLATE["Globals"]["Function"]["Environment"]["Variables"])
    assert {name.upper() for name in Settings.model_fields if name != "limits"} <= variables


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_has_a_role_and_a_log_group_of_its_own(function: str) -> None:
    noun = function.removesuffix("Function")
    assert FUNCTIONS[function]["Role"] == {"GetAtt": f"{noun}Role.Arn"}
    assert FUNCTIONS[function]["LoggingConfig"] == {"LogGroup": {"Ref": f"{noun}LogGroup"}}
    assert _RESOURCES[f"{noun}LogGroup"]["Properties"]["RetentionInDays"]


@pytest.mark.parametrize("role", ROLES)
def test_no_role_has_a_wildcard_action_or_an_attached_policy(role: str) -> None:
    assert not [action for action in _actions(role) if "*" in action]
    assert "ManagedPolicyArns" not in ROLES[role]


@pytest.mark.parametrize("role", ROLES)
def test_only_tracing_names_every_resource(role: str) -> None:
    everywhere = [each["Action"] for each in _statements(role) if each["Resource"] == "*"]
    assert everywhere == [["xray:PutTraceSegments", "xray:PutTelemetryRecords"]]


@pytest.mark.parametrize("role", ROLES)
def test_the_platform_secret_is_read_only_where_sandboxes_are_touched(role: str) -> None:
    reads = {"Ref": "PlatformSecretArn"} in _resources(role, "secretsmanager:GetSecretValue")
    assert reads == (role.removesuffix("Role") in _PLATFORM_SECRET_READERS)


def test_the_api_and_the_finisher_see_no_secret_at_all() -> None:
    for role in ("ApiRole", "CompleteRole"):
        assert not [action for action in _actions(role) if action.startswith(_SECRETS)]


def test_whoever_talks_to_strangers_hosts_reads_no_secret_but_those_that_sign() -> None:
    (resource,) = _resources("NotifyRole", "secretsmanager:GetSecretValue")
    assert resource["Sub"].endswith(":secret:${AWS::StackName}/callbacks/*")
    assert {each["Sub"].rpartition("/")[0].rpartition("/")[2] for each in _agent_secrets("InvokeRole")} == {
        "agents"
    }
    written = [action for action in _actions("NotifyRole") if action.startswith(("dynamodb:", "s3:", "sqs:"))]
    assert "s3:GetObject" not in written
    assert _resources("NotifyRole", "dynamodb:UpdateItem") == [{"GetAtt": "InvocationsTable.Arn"}]
    assert "sqs:SendMessage" not in written


def _agent_secrets(role: str) -> list[dict[str, str]]:
    return [each for each in _resources(role, "secretsmanager:GetSecretValue") if "Sub" in each]


def test_whoever_can_end_an_invocation_can_have_it_told() -> None:
    finishing = {
        role for role in ROLES if {"GetAtt": "UsageTable.Arn"} in _resources(role, "dynamodb:UpdateItem")
    }
    announcing = {
        role for role in ROLES if {"GetAtt": "CallbackQueue.Arn"} in _resources(role, "sqs:SendMessage")
    }
    assert announcing == finishing != set()


def test_the_queue_of_callbacks_comes_as_often_as_there_are_attempts() -> None:
    assert _RESOURCES["CallbackQueue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"] == MOST_ATTEMPTS


def test_no_callback_leads_to_the_machine_itself_unless_the_operator_says_so() -> None:
    assert _TEMPLATE["Parameters"]["LoopbackCallbackPort"]["Default"] == 0


def test_only_the_secrets_function_writes_secrets() -> None:
    writers = {
        role
        for role in ROLES
        if any(action.startswith((f"{_SECRETS}Put", f"{_SECRETS}Create")) for action in _actions(role))
    }
    assert writers == {"SecretsRole"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_queue_hides_a_message_six_times_as_long_as_its_function_may_take(function: str) -> None:
    for event in FUNCTIONS[function].get("Events", {}).values():
        if event["Type"] != "SQS":
            continue
        queue = _RESOURCES[event["Properties"]["Queue"]["GetAtt"].removesuffix(".Arn")]["Properties"]
        assert queue["VisibilityTimeout"] >= 6 * FUNCTIONS[function]["Timeout"]
        assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_only_the_function_that_checks_keys_itself_may_be_called_by_anybody() -> None:
    public = [each for each in _of("AWS::Lambda::Permission").values() if each["Principal"] == "*"]
    assert {each["FunctionName"]["Ref"] for each in public} == {"AttendFunction"}
    assert all(each.get("FunctionUrlAuthType") or each.get("InvokedViaFunctionUrl") for each in public)


def test_whoever_attends_may_do_what_whoever_invokes_may() -> None:
    def allowed(role: str) -> list[dict[str, Any]]:
        others = [each for each in _statements(role) if "logs:PutLogEvents" not in each["Action"]]
        return sorted(others, key=str)

    assert allowed("AttendRole") == allowed("InvokeRole")


def test_every_queue_is_encrypted_and_every_working_queue_has_a_dead_letter_queue() -> None:
    queues = _of("AWS::SQS::Queue")
    assert all(queue["SqsManagedSseEnabled"] for queue in queues.values())
    working = {name for name, queue in queues.items() if "RedrivePolicy" in queue}
    assert working == {name for name in queues if name.endswith("Queue")} != set()


def test_every_queue_has_an_alarm_that_the_topic_is_told_of() -> None:
    watched = {}
    for alarm in _of("AWS::CloudWatch::Alarm").values():
        (dimension,) = alarm["Dimensions"]
        watched[dimension["Value"]["GetAtt"]] = alarm["MetricName"], alarm["Threshold"]
        for actions in (alarm["AlarmActions"], alarm["OKActions"]):
            assert actions["If"][:2] == ["TellsOfAlarms", [{"Ref": "AlarmTopicArn"}]]
        # SQS stops telling of a queue that nobody uses.
        assert alarm["TreatMissingData"] == "notBreaching"
    queues = _of("AWS::SQS::Queue")
    assert watched.keys() == {f"{name}.QueueName" for name in queues}
    for name in queues:
        metric, threshold = watched[f"{name}.QueueName"]
        if name.endswith("DeadLetters"):
            assert (metric, threshold) == ("ApproximateNumberOfMessagesVisible", 1)
        else:
            assert metric == "ApproximateAgeOfOldestMessage"


def test_no_alarm_is_raised_by_waiting_that_the_platform_means() -> None:
    ages = {
        name: alarm["Threshold"]
        for name, alarm in _of("AWS::CloudWatch::Alarm").items()
        if alarm["MetricName"] == "ApproximateAgeOfOldestMessage"
    }
    limits = Limits()
    longest_deploy = MOST_DEPLOYS * (limits.deploy_timeout_seconds + limits.deploy_lease_seconds)
    assert ages["DeployQueueAlarm"] > longest_deploy
    assert ages["InvocationQueueAlarm"] < QUEUE_SECONDS
    assert ages["CallbackQueueAlarm"] > 23 * 3600


def test_every_table_is_on_demand_encrypted_and_can_be_put_back() -> None:
    for table in _of("AWS::DynamoDB::Table").values():
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["SSESpecification"]["SSEEnabled"]
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]


def test_every_bucket_is_encrypted_private_and_reached_by_tls_only() -> None:
    buckets = _of("AWS::S3::Bucket")
    for bucket in buckets.values():
        assert bucket["BucketEncryption"]
        assert all(bucket["PublicAccessBlockConfiguration"].values())
    policies = _of("AWS::S3::BucketPolicy").values()
    assert {policy["Bucket"]["Ref"] for policy in policies} == set(buckets)
    for policy in policies:
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_nothing_whose_name_is_a_key_to_it_is_named() -> None:
    names = {"FunctionName", "RoleName", "TableName", "QueueName", "LayerName", "LogGroupName"}
    named = {
        resource: names & each["Properties"].keys()
        for resource, each in _RESOURCES.items()
        if each["Type"] != "AWS::Lambda::Permission" and names & each["Properties"].keys()
    }
    assert named == {}


def test_packages_of_the_layer_are_those_of_the_lock_file() -> None:
    def pins(path: str) -> set[str]:
        lines = (_REPOSITORY / path).read_text().splitlines()
        return {line.split()[0] for line in lines if "==" in line and not line.startswith(("#", " "))}

    layer, lock = pins("layers/dependencies/requirements.txt"), pins("requirements.lock")
    assert layer <= lock
    assert {pin.partition("==")[0] for pin in layer} >= {"boto3", "e2b", "pydantic", "cryptography"}
