"""Identity providers: a real one in its own process, and one with which a test forges tokens."""

import base64
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

CLIENT_ID = "partner-app"
"""The client at either provider for which tokens are made."""
START_S = 30.0


def free_port() -> int:
    """A port of the loopback interface on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True)
class RealProvider:
    """``oidc-provider-mock``: a whole provider with the authorization code flow."""

    issuer: str

    def ask(self, path: str, data: bytes | None = None, method: str = "", kind: str = "") -> tuple[Any, bytes]:
        """Asks it, as a browser or a program does."""
        request = urllib.request.Request(self.issuer + path, data, method=method or None)  # noqa: S310 - loopback
        if kind:
            request.add_header("Content-Type", kind)
        opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10) as answer:
                return answer.headers, answer.read()
        except urllib.error.HTTPError as answer:
            if answer.code >= 400:
                raise
            return answer.headers, b""

    def id_token(self, subject: str, email: str, *, verified: bool = True, client_id: str = CLIENT_ID) -> str:
        """Signs a person in, and gives the ID token that the application then has."""
        claims = json.dumps({"email": email, "email_verified": verified}).encode()
        self.ask(f"/users/{urllib.parse.quote(subject)}", claims, "PUT", "application/json")
        about = {
            "client_id": client_id,
            "redirect_uri": "https://partner.example/back",
            "response_type": "code",
            "scope": "openid email",
        }
        form = urllib.parse.urlencode({"sub": subject}).encode()
        headers, _ = self.ask("/oauth2/authorize?" + urllib.parse.urlencode(about), form)
        code = urllib.parse.parse_qs(urllib.parse.urlparse(headers["Location"]).query)["code"][0]
        asked = {"grant_type": "authorization_code", "code": code, "redirect_uri": about["redirect_uri"]}
        basic = base64.b64encode(f"{client_id}:secret".encode()).decode()
        request = urllib.request.Request(  # noqa: S310 - loopback
            self.issuer + "/oauth2/token",
            urllib.parse.urlencode(asked).encode(),
            {"Authorization": f"Basic {basic}"},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return str(json.load(answer)["id_token"])


@contextlib.contextmanager
def real_provider() -> Iterator[RealProvider]:
    """Runs the real provider."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    provider = RealProvider(f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                provider.ask("/.well-known/openid-configuration")
                break
            except OSError:
                if time.monotonic() > deadline or running.poll() is not None:
                    raise
                time.sleep(0.1)
        yield provider
    finally:
        running.terminate()
        running.wait(10)


Key = RSAKey | ECKey | OKPKey


@dataclass
class ForgingProvider:
    """A provider whose keys the test has, and whose documents it can falsify.

    Attributes:
        issuer: Its issuer.
        keys: Its signing keys.
        answers: What it answers, by path; a number is a status, a text is where it redirects to.
        asked: The paths that it was asked for.
    """

    issuer: str
    keys: list[Key] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def publish(self) -> None:
        """Makes its documents say what its keys are."""
        self.answers = {
            "/.well-known/openid-configuration": {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks"},
            "/jwks": {"keys": [key.as_dict(private=False) for key in self.keys]},
        }

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of a valid token, with changes; ``None`` leaves a claim out."""
        now = int(time.time())
        good = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "account-1",
            "email": "ann@example.com",
            "email_verified": True,
            "iat": now,
            "exp": now + 300,
            "jti": str(time.time_ns()),
        }
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def token(self, key: Key | None = None, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A token, signed with one of its keys or another."""
        key = key or self.keys[0]
        algorithm = {"RSA": "RS256", "EC": "ES256", "OKP": "Ed25519"}[key.key_type]
        head = {"alg": algorithm, "kid": key.kid, **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        payload = json.dumps(self.claims(**changes)).encode()
        return jws.serialize_compact(head, payload, key, algorithms=[str(head["alg"])])


def encoded(data: Any) -> str:
    """A part of a token."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@contextlib.contextmanager
def forging_provider(*keys: Key) -> Iterator[ForgingProvider]:
    """Runs one.

    Args:
        keys: Its keys; one on P-256 where left out.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked.append(self.path)
            answer = provider.answers.get(self.path, 404)
            status = answer if isinstance(answer, int) else 302 if isinstance(answer, str) else 200
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            if isinstance(answer, str):
                self.send_header("Location", answer)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):  # the client has stopped reading
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Says nothing."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    provider = ForgingProvider(f"http://127.0.0.1:{listening.server_port}", list(keys) or [new_key("one")])
    provider.publish()
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield provider
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def new_key(name: str) -> ECKey:
    """A key on P-256.

    Args:
        name: Its ``kid``.
    """
    return ECKey.generate_key("P-256", {"kid": name})
