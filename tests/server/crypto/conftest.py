"""The providers of root keys under test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support import moto, openbao, softhsm
from zegel_server.crypto import RootKeys, open_root_keys


@pytest.fixture(scope="session")
def softhsm_token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[softhsm.SoftToken]:
    """A SoftHSM token, one for each worker process and only where a test asks for it."""
    with softhsm.token(tmp_path_factory.mktemp("softhsm")) as token:
        yield token


@pytest.fixture
def empty_token(softhsm_token: softhsm.SoftToken) -> softhsm.SoftToken:
    """The token without any objects."""
    import pkcs11  # noqa: PLC0415 - an optional extra, which the token needs too

    driver = pkcs11.lib(str(softhsm_token.module))
    driver.reinitialize()
    session = driver.get_token(token_label=softhsm.LABEL).open(rw=True, user_pin=softhsm.PIN)
    for found in list(session.get_objects()):
        found.destroy()
    session.close()
    return softhsm_token


@pytest.fixture(scope="session")
def kms_port() -> Iterator[int]:
    """The port of moto, an emulator of AWS KMS, in a process of its own."""
    with moto.server() as port:
        yield port


@pytest.fixture
def kms_url(kms_port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty namespace in the emulated KMS."""
    for name, value in moto.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return moto.url(kms_port)


@pytest.fixture(scope="session")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openbao.Bao]:
    """An OpenBao server in a process of its own; a test that stops or seals it brings it back."""
    with openbao.server(tmp_path_factory.mktemp("openbao")) as server:
        yield server


@pytest.fixture(params=["local", "pkcs11", "aws-kms", "vault"])
def root_keys_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty provider, of each kind in turn."""
    if request.param == "pkcs11":
        token: softhsm.SoftToken = request.getfixturevalue("empty_token")
        return token.url
    if request.param == "aws-kms":
        return str(request.getfixturevalue("kms_url"))
    if request.param == "vault":
        bao: openbao.Bao = request.getfixturevalue("bao")
        return bao.url()
    return f"local:{tmp_path / 'keyring.json'}"


@pytest.fixture
async def root_keys(root_keys_url: str) -> AsyncIterator[RootKeys]:
    """An empty provider of root keys, of each kind in turn."""
    provider = open_root_keys(root_keys_url)
    yield provider
    await provider.close()
