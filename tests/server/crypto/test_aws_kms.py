"""What only a key service has: an address, error codes, and keys it keeps for a while."""

import socket
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from zegel_server.crypto import KeyDestroyed, NoRootKey, aws_kms, open_root_keys
from zegel_server.crypto.aws_kms import AwsKmsRootKeys, open_aws_kms
from zegel_server.errors import DataLoss, Unavailable

KEY = bytes(range(32))


class Failing:
    """Stands in for boto3's client, and lets the Nth request fail."""

    def __init__(self, client: Any, fail_at: int) -> None:
        self._client = client
        self.left = fail_at

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name == "get_paginator":
            return method

        def counted(**kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise EndpointConnectionError(endpoint_url="made to fail")
            return method(**kwargs)

        return counted


class Refusing:
    """Stands in for boto3's client, and answers one call with an error code."""

    def __init__(self, client: Any, name: str, code: str) -> None:
        self._client, self._name, self._code = client, name, code

    def __getattr__(self, name: str) -> Any:
        if name != self._name:
            return getattr(self._client, name)

        def refuse(**_: Any) -> Any:
            raise ClientError({"Error": {"Code": self._code, "Message": "no"}}, name)

        return refuse


@pytest.mark.faults
async def test_destroying_fails_at_each_request_until_it_passes(kms_url: str) -> None:
    failures = 0
    for fail_at in range(1, 50):
        provider = open_aws_kms(kms_url)
        older, newer = await provider.create(), await provider.create()
        wrapped = await provider.wrap(KEY)
        client = provider._client
        provider._client = failing = Failing(client, fail_at)
        try:
            await provider.destroy(newer)
        except Unavailable:
            failures += 1
        provider._client = client
        await provider.destroy(newer)
        with pytest.raises(KeyDestroyed):
            await provider.unwrap(wrapped)
        assert await provider.primary() == older
        found = {info.root_key_id: info for info in await provider.list()}
        assert found[newer].destroyed
        assert found[older].primary
        await provider.destroy(older)
        await provider.close()
        if failing.left > 0:
            break
    else:
        pytest.fail("destroying never passed")
    assert failures >= 5


@pytest.mark.faults
async def test_a_service_that_is_not_there_is_unavailable(kms_url: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    provider = open_aws_kms(f"aws-kms:tests?region=eu-west-1&endpoint=http://127.0.0.1:{port}", attempts=1)
    for call in (provider.create, provider.ensure, provider.primary, provider.list, lambda: provider.wrap(KEY)):
        with pytest.raises(Unavailable):
            await call()
    await provider.close()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("InvalidCiphertextException", DataLoss),
        ("IncorrectKeyException", DataLoss),
        ("KMSInvalidStateException", Unavailable),
        ("DisabledException", Unavailable),
        ("AccessDeniedException", Unavailable),
        ("KMSInternalException", Unavailable),
        ("ThrottlingException", Unavailable),
    ],
)
async def test_an_error_code_becomes_the_error_it_means(kms_url: str, code: str, expected: type[Exception]) -> None:
    provider = open_aws_kms(kms_url)
    await provider.create()
    wrapped = await provider.wrap(KEY)
    refusing = AwsKmsRootKeys(
        Refusing(provider._client, "decrypt", code), kms_url.split(":")[1].split("?", maxsplit=1)[0]
    )
    with pytest.raises(expected):
        await refusing.unwrap(wrapped)
    await provider.close()


async def test_two_namespaces_of_an_account_do_not_meet(kms_url: str) -> None:
    one, other = open_aws_kms(kms_url), open_aws_kms(kms_url.replace("tests-", "tests-b-"))
    await one.create()
    with pytest.raises(NoRootKey):
        await other.primary()
    assert await other.list() == []
    with pytest.raises(DataLoss):
        await other.unwrap(await one.wrap(KEY))
    await one.close()
    await other.close()


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}", fullmatch=True))
def test_a_purpose_comes_back_from_its_alias(purpose: str) -> None:
    assert aws_kms._unescape(aws_kms._escape(purpose)) == purpose
    assert "." not in aws_kms._escape(purpose)


@pytest.mark.parametrize("url", ["aws-kms:", "aws-kms:a b", "aws-kms:a/b", "aws-kms:zegel?key=x", "aws-kms://zegel"])
def test_a_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="KMS URL"):
        open_root_keys(url)
