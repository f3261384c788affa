"""What somebody inside a sandbox may try through the relay, against a local AWS that checks signatures."""

import contextlib
import dataclasses
import hashlib
import http.client
import io
import json
import socket
import time
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from local import identity, ministack, relay_process, tear_down
from local.deployment import client
from local.identity import ACCOUNT, REGION, Identity
from local.places import Places
from local.relay_door import MOST_PER_ADDRESS

_ROLE = "runner"
_FUNCTION = "start"
_OBJECT = "results/inv_1/1/result.json"
_SECRET_TEXT = b"only for those who signed"


@dataclasses.dataclass(frozen=True)
class Target:
    """A local AWS with our two buckets and a foreign one, a role that may use all three, and the relay."""

    stack: Identity
    bucket: str
    session: Credentials

    def presign(
        self,
        method: str = "GET",
        *,
        bucket: str | None = None,
        key: str = _OBJECT,
        credentials: Credentials | None = None,
        host: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> str:
        """Return path and query of a URL that is signed for the relay's address."""
        host = host or urlsplit(self.stack.relay_url).netloc
        request = AWSRequest(method, f"http://{host}/{bucket or self.bucket}/{quote(key)}", headers or {})
        S3SigV4QueryAuth(credentials or self.session, "s3", REGION, expires=60).add_auth(request)
        return str(request.url).removeprefix(f"http://{host}")

    def send(
        self,
        method: str,
        target: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        source: str = "127.0.0.1",
    ) -> tuple[int, bytes]:
        """Send a request target as it is, through the relay; return the status and the body."""
        address = urlsplit(self.stack.relay_url)
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=10, source_address=(source, 0)
        )
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in ({"Host": address.netloc} | (headers or {})).items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    places = Places(tmp_path_factory.mktemp("relay"))
    places.make()
    stack = identity.new("rlay", relay_address="127.0.0.1", server_code="")
    ministack.install(places)
    try:
        ministack.start(places, stack)
        session = _prepare(stack)
        relay_process.start(places, stack)
        yield Target(stack, stack.buckets[1], session)
    finally:
        tear_down.end_processes(places)


def _prepare(stack: Identity) -> Credentials:
    """Make the buckets, the role and a function with that role; return the function's own credentials."""
    s3 = client("s3", stack)
    for bucket in (*stack.buckets, "foreign"):
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key=_OBJECT, Body=_SECRET_TEXT)
    iam = client("iam", stack)
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [trust]}
    role = iam.create_role(RoleName=_ROLE, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
    grant = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [grant]}
    iam.put_role_policy(RoleName=_ROLE, PolicyName="all", PolicyDocument=json.dumps(document))
    functions = client("lambda", stack)
    made = functions.create_function(
        FunctionName=_FUNCTION,
        Runtime="python3.13",
        Handler="app.handler",
        Role=role,
        Code={"ZipFile": _code()},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=_FUNCTION)
    functions.invoke(FunctionName=_FUNCTION, Payload=b"{}")
    return _derived(made["FunctionArn"], role)


def _code() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("app.py", "def handler(event, context):\n    print('ran')\n")
    return archive.getvalue()


def _derived(function_arn: str, role_arn: str) -> Credentials:
    """Return what the local AWS gives a function of these names, so that who knows the names has the key."""
    digest = hashlib.sha256(f"{function_arn}:{role_arn}".encode()).hexdigest()
    secret = hashlib.sha256(f"secret:{digest}".encode()).hexdigest()
    token = hashlib.sha256(f"token:{digest}".encode()).hexdigest()
    return Credentials(f"ASIA{digest[:16].upper()}", secret, token)


def _changed(target: str, **parameters: str) -> str:
    path, _, query = target.partition("?")
    return f"{path}?{urlencode(dict(parse_qsl(query)) | parameters)}"


def _is_refused(answer: tuple[int, bytes]) -> bool:
    status, body = answer
    return status >= 400 and body == b""


def test_a_signed_get_passes(target: Target) -> None:
    assert target.send("GET", target.presign()) == (200, _SECRET_TEXT)


def test_a_signed_put_passes_once_where_it_must_not_replace(target: Target) -> None:
    signed = target.presign("PUT", key="results/inv_2/1/result.json", headers={"If-None-Match": "*"})
    sent = {"If-None-Match": "*"}
    assert target.send("PUT", signed, headers=sent, body=b"first")[0] == 200
    assert target.send("PUT", signed, headers=sent, body=b"second") == (412, b"")
    assert target.send("GET", target.presign(key="results/inv_2/1/result.json")) == (200, b"first")


def test_a_put_that_leaves_out_a_signed_condition_is_refused(target: Target) -> None:
    signed = target.presign("PUT", headers={"If-None-Match": "*"})
    assert _is_refused(target.send("PUT", signed, body=b"replaced"))


def test_a_boto3_presigned_url_passes(target: Target) -> None:
    s3 = boto3.client(
        "s3",
        endpoint_url=target.stack.relay_url,
        region_name=REGION,
        aws_access_key_id=target.session.access_key,
        aws_secret_access_key=target.session.secret_key,
        aws_session_token=target.session.token,
        config=Config(signature_version="s3v4"),
    )
    parameters = {"Bucket": target.bucket, "Key": _OBJECT}
    url: str = s3.generate_presigned_url("get_object", Params=parameters)
    assert target.send("GET", url.removeprefix(target.stack.relay_url)) == (200, _SECRET_TEXT)


def test_a_large_object_streams_both_ways(target: Target) -> None:
    body = bytes(range(256)) * 64 * 1024
    assert target.send("PUT", target.presign("PUT", key="large"), body=body)[0] == 200
    assert target.send("GET", target.presign(key="large")) == (200, body)


def test_a_signature_for_reading_does_not_write(target: Target) -> None:
    assert _is_refused(target.send("PUT", target.presign("GET"), body=b"x"))
    assert target.send("GET", target.presign()) == (200, _SECRET_TEXT)


@pytest.mark.parametrize("method", ["POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE"])
def test_other_methods_are_refused(target: Target, method: str) -> None:
    assert _is_refused(target.send(method, target.presign(method)))


def test_the_default_key_is_refused(target: Target) -> None:
    key = Credentials("test", "test", "test")
    assert _is_refused(target.send("GET", target.presign(credentials=key)))


def test_the_default_key_opens_everything_without_the_relay(target: Target) -> None:
    direct = urlsplit(target.stack.aws_url)
    claimed = (
        f"AWS4-HMAC-SHA256 Credential=test/20300101/{REGION}/s3/aws4_request, SignedHeaders=host, Signature=0"
    )
    connection = http.client.HTTPConnection(direct.hostname or "", direct.port, timeout=10)
    try:
        connection.request("GET", f"/{target.bucket}/{_OBJECT}", headers={"Authorization": claimed})
        assert connection.getresponse().read() == _SECRET_TEXT
    finally:
        connection.close()


def test_an_account_number_as_key_is_refused(target: Target) -> None:
    key = Credentials(ACCOUNT, "test", "test")
    assert _is_refused(target.send("GET", target.presign(credentials=key)))


def test_even_the_root_key_is_refused(target: Target) -> None:
    key = Credentials(target.stack.root_key_id, target.stack.root_secret, "token")
    assert _is_refused(target.send("GET", target.presign(credentials=key)))


@pytest.mark.parametrize("stack_name", ["castari", "castari-local", "local", "dev"])
@pytest.mark.parametrize("function", ["ApiFunction", "InvokeFunction", "StartFunction", "DeployFunction"])
def test_a_key_derived_from_guessed_names_is_refused(target: Target, stack_name: str, function: str) -> None:
    role = function.replace("Function", "Role")
    key = _derived(
        f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{stack_name}-{function}",
        f"arn:aws:iam::{ACCOUNT}:role/{stack_name}-{role}",
    )
    assert _is_refused(target.send("GET", target.presign(credentials=key)))


def test_the_name_that_keys_derive_from_cannot_be_guessed() -> None:
    names = {identity.new("rlay", relay_address="127.0.0.1", server_code="").stack_name for _ in range(3)}
    assert len(names) == 3
    assert all(len(name.removeprefix("castari-")) == 16 for name in names)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "foreign.s3.amazonaws.com", "sqs.us-east-1.amazonaws.com"]
)
def test_another_host_is_refused(target: Target, host: str) -> None:
    assert _is_refused(target.send("GET", target.presign(host=host), headers={"Host": host}))
    assert _is_refused(target.send("GET", target.presign(), headers={"Host": host}))


def test_a_signature_for_another_host_is_refused(target: Target) -> None:
    direct = urlsplit(target.stack.aws_url).netloc
    assert _is_refused(target.send("GET", target.presign(host=direct)))


def test_a_tampered_signature_is_refused(target: Target) -> None:
    assert _is_refused(target.send("GET", _changed(target.presign(), **{"X-Amz-Signature": "0" * 64})))


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-Amz-Expires", "604800"), ("X-Amz-Date", "20300101T000000Z"), ("X-Amz-Security-Token", "other")],
)
def test_a_changed_parameter_is_refused(target: Target, name: str, value: str) -> None:
    assert _is_refused(target.send("GET", _changed(target.presign(), **{name: value})))


def test_a_signature_for_another_object_is_refused(target: Target) -> None:
    query = target.presign(key="results/inv_9/1/result.json").partition("?")[2]
    assert _is_refused(target.send("GET", f"/{target.bucket}/{_OBJECT}?{query}"))


def test_an_unsigned_request_is_refused(target: Target) -> None:
    assert _is_refused(target.send("GET", f"/{target.bucket}/{_OBJECT}"))


def test_a_header_signed_request_is_refused(target: Target) -> None:
    request = AWSRequest("GET", f"{target.stack.relay_url}/{target.bucket}/{_OBJECT}")
    SigV4Auth(target.session, "s3", REGION).add_auth(request)
    assert _is_refused(target.send("GET", f"/{target.bucket}/{_OBJECT}", headers=dict(request.headers)))


def test_an_authorization_header_beside_the_signature_is_dropped(target: Target) -> None:
    root = f"AWS4-HMAC-SHA256 Credential={target.stack.root_key_id}/20300101/{REGION}/s3/aws4_request"
    tampered = _changed(target.presign(), **{"X-Amz-Signature": "0" * 64})
    assert _is_refused(target.send("GET", tampered, headers={"Authorization": root}))


def test_another_bucket_is_refused_though_the_role_may_read_it(target: Target) -> None:
    signed = target.presign(bucket="foreign")
    assert _is_refused(target.send("GET", signed))


@pytest.mark.parametrize(
    "path", ["/_ministack/reset", "/_ministack/health", "/_ministack/config", "//_ministack/reset"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_the_endpoints_of_the_local_aws_itself_are_refused(target: Target, method: str, path: str) -> None:
    assert _is_refused(target.send(method, path, body=b"" if method != "GET" else None))
    query = target.presign().partition("?")[2]
    assert _is_refused(target.send(method, f"{path}?{query}", body=b"" if method != "GET" else None))
    assert target.send("GET", target.presign()) == (200, _SECRET_TEXT)


@pytest.mark.parametrize(
    "path",
    [
        "//{bucket}/{key}",
        "/{bucket}//{key}",
        "/{bucket}/../foreign/{key}",
        "/{bucket}/%2e%2e/foreign/{key}",
        "/{bucket}/..%2fforeign/{key}",
        "/{bucket}/%2E%2E%2Fforeign%2F{key}",
        "/{bucket}/.//{key}",
        "/{bucket}%2f{key}",
        "/foreign/../{bucket}/{key}",
        "/{bucket}/..\\foreign\\{key}",
        "/{bucket}/%00{key}",
        "/{bucket}/%252e%252e/foreign/{key}",
        "/{bucket}/",
        "/{bucket}",
        "/",
        "http://127.0.0.1/{bucket}/{key}",
        "/_aws/execute-api/x/health",
    ],
)
def test_path_tricks_are_refused(target: Target, path: str) -> None:
    query = target.presign().partition("?")[2]
    assert _is_refused(target.send("GET", f"{path.format(bucket=target.bucket, key=_OBJECT)}?{query}"))


def test_what_is_no_request_target_at_all_gets_no_further_than_the_parser(target: Target) -> None:
    assert target.send("GET", "*")[0] == 400


@pytest.mark.parametrize(
    "extra",
    [
        "acl",
        "acl=",
        "uploads",
        "policy",
        "versionId=1",
        "list-type=2",
        "X-Amz-Credential=test",
        "x-amz-acl=public-read",
    ],
)
def test_parameters_beside_the_signature_are_refused(target: Target, extra: str) -> None:
    assert _is_refused(target.send("GET", f"{target.presign()}&{extra}"))
    assert _is_refused(target.send("GET", target.presign().replace("?", f"?{extra}&", 1)))


def test_a_copy_from_another_bucket_is_not_made(target: Target) -> None:
    source = {"x-amz-copy-source": f"/foreign/{_OBJECT}"}
    target.send("PUT", target.presign("PUT", key="copy"), headers=source, body=b"")
    assert target.send("GET", target.presign(key="copy")) == (200, b"")
    signed = target.presign("PUT", key="copy", headers=source)
    assert _is_refused(target.send("PUT", signed, headers=source, body=b""))


def test_a_body_without_a_length_is_refused(target: Target) -> None:
    chunked = {"Transfer-Encoding": "chunked"}
    assert _is_refused(target.send("PUT", target.presign("PUT", key="chunked"), headers=chunked))


def test_a_sandbox_that_holds_connections_open_keeps_only_itself_out(target: Target) -> None:
    address = urlsplit(target.stack.relay_url)
    with contextlib.ExitStack() as stack:
        for _ in range(10 * MOST_PER_ADDRESS):
            stack.enter_context(socket.create_connection(("127.0.0.1", address.port or 0), timeout=10))
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            target.send("GET", target.presign())
        # All of 127.0.0.0/8 is this host: another end stands for another sandbox.
        assert target.send("GET", target.presign(), source="127.0.0.2") == (200, _SECRET_TEXT)
    assert _answers_again(target)


def _answers_again(target: Target) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionError, http.client.HTTPException):
            return target.send("GET", target.presign()) == (200, _SECRET_TEXT)
    return False


def test_an_error_of_s3_arrives_without_its_text(target: Target) -> None:
    assert target.send("GET", target.presign(key="absent")) == (404, b"")


def _s3(stack: Identity) -> Any:
    return client("s3", stack)


def test_the_attacks_changed_nothing(target: Target) -> None:
    stored = _s3(target.stack).get_object(Bucket="foreign", Key=_OBJECT)["Body"].read()
    assert stored == _SECRET_TEXT
    assert target.send("GET", target.presign()) == (200, _SECRET_TEXT)
