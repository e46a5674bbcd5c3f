"""OpenBao, a real server with Vault's API, for the tests: TLS, storage on disk, unsealed, on loopback."""

import json
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from support.certificates import Authority
from support.require import need
from support.tools import find

START_SECONDS = 60.0
"""How long the server may take to answer: it writes and flushes some MiB when it is made."""

POLICY = """
path "{mount}/keys" {{ capabilities = ["list"] }}
path "{mount}/keys/zegel*" {{ capabilities = ["create", "read", "update", "delete"] }}
path "{mount}/encrypt/zegel.*" {{ capabilities = ["update"] }}
path "{mount}/decrypt/zegel.*" {{ capabilities = ["update"] }}
path "{mount}/hmac/zegel-claim.*" {{ capabilities = ["update"] }}
"""
"""What SECURITY.md says to give the server, and no more."""


@dataclass
class Bao:
    """A server that is ready for use.

    Attributes:
        folder: Where its storage, configuration and certificates lie.
        port: Its port on 127.0.0.1.
        unseal_key: Opens its storage.
        root_token: May do everything.
    """

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    unseal_key: str = ""
    root_token: str = field(default="", repr=False)

    def call(self, method: str, path: str, *, ok: bool = True, **body: Any) -> Any:
        """Call the server's API directly, as root."""
        answer = requests.request(
            method,
            f"https://127.0.0.1:{self.port}/v1/{path}",
            headers={"X-Vault-Token": self.root_token},
            json=body or None,
            verify=str(self.folder / "ca.pem"),
            timeout=30,
        )
        if ok:
            assert answer.ok, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else {}

    def url(self, mount: str | None = None, *, ttl: str = "1h") -> str:
        """Mount an empty engine where none is named, make a role that may use it, and return its URL."""
        if mount is None:
            mount = f"transit-{secrets.token_hex(6)}"
            self.call("POST", f"sys/mounts/{mount}", type="transit")
        self.call("POST", f"sys/policies/acl/{mount}", policy=POLICY.format(mount=mount))
        role = f"role-{secrets.token_hex(6)}"
        self.call("POST", f"auth/approle/role/{role}", token_policies=[mount], token_ttl=ttl, token_max_ttl=ttl)
        named = self.call("GET", f"auth/approle/role/{role}/role-id")["data"]["role_id"]
        secret = self.call("POST", f"auth/approle/role/{role}/secret-id")["data"]["secret_id"]
        role_file, secret_file = self.folder / f"{role}.id", self.folder / f"{role}.secret"
        role_file.write_text(named + "\n")
        secret_file.write_text(secret + "\n")
        return (
            f"vault://127.0.0.1:{self.port}/{mount}?ca-file={quote(str(self.folder / 'ca.pem'))}"
            f"&role-id-file={quote(str(role_file))}&secret-id-file={quote(str(secret_file))}"
        )

    def start(self) -> None:
        """Start the process, and open its storage where it has one already."""
        program = find("bao")
        assert program
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [str(program), "server", "-config", str(self.folder / "bao.hcl")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._until(lambda: self.call("GET", "sys/seal-status"))
        if self.unseal_key:
            self.unseal()

    def unseal(self) -> None:
        """Open the storage, and wait until the server serves."""
        self.call("PUT", "sys/unseal", key=self.unseal_key)
        self._until(lambda: self.call("GET", "sys/health"))  # 200 once it is the active one

    def seal(self) -> None:
        """Seal the storage: the server answers, but refuses every request."""
        self.call("PUT", "sys/seal")

    def stop(self) -> None:
        """End the process as a power cut would."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _until(self, works: Any) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                works()
            except (requests.RequestException, AssertionError):
                if time.monotonic() > deadline or not self.process or self.process.poll() is not None:
                    raise
                time.sleep(0.1)
            else:
                return


@contextmanager
def server(folder: Path) -> Iterator[Bao]:
    """Make and start a server, or skip the calling test.

    Args:
        folder: An empty folder.
    """
    need(find("bao"), "the program bao (OpenBao)", "scripts/install-openbao")
    port, cluster = _free_ports()
    authority = Authority("OpenBao of the tests")
    certificate, key = authority.issue()
    for name, content in (("ca.pem", authority.pem), ("server.pem", certificate), ("server.key", key)):
        (folder / name).write_bytes(content)
    (folder / "storage").mkdir()
    (folder / "bao.hcl").write_text(
        f"""
        storage "raft" {{ path = {json.dumps(str(folder / "storage"))}
                          node_id = "tests" }}
        listener "tcp" {{ address = "127.0.0.1:{port}"
                          cluster_address = "127.0.0.1:{cluster}"
                          tls_cert_file = {json.dumps(str(folder / "server.pem"))}
                          tls_key_file = {json.dumps(str(folder / "server.key"))} }}
        api_addr = "https://127.0.0.1:{port}"
        cluster_addr = "https://127.0.0.1:{cluster}"
        log_level = "warn"
        """
    )
    bao = Bao(folder, port)
    try:
        bao.start()
        made = bao.call("PUT", "sys/init", secret_shares=1, secret_threshold=1)
        bao.unseal_key, bao.root_token = made["keys"][0], made["root_token"]
        bao.unseal()
        bao.call("POST", "sys/auth/approle", type="approle")
        yield bao
    finally:
        bao.stop()


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])
