"""``oidc-provider``, a certified OpenID Connect provider for Node.js, in its own process."""

import base64
import contextlib
import http.cookiejar
import json
import re
import secrets
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from support.providers import free_port
from support.require import need
from support.tools import ROOT, find

FOLDER = ROOT / ".tools/oidc-provider"
SERVER = ROOT / "tests/support/oidc_provider/server.mjs"
ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""The signature algorithms of its ID tokens; it has one client for each, named by ``client_id``."""
BACK = "https://partner.example/back"
START_S = 60.0
STEPS = 12
"""Maximum number of responses until the code arrives: two pages, each with its redirects."""


def client_id(algorithm: str) -> str:
    """Returns the client whose ID tokens are signed with an algorithm."""
    return f"partner-app-{algorithm}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _plain() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class CertifiedProvider:
    """The running provider."""

    issuer: str

    def id_token(self, account: str, email: str, *, verified: bool = True, algorithm: str = "RS256") -> str:
        """Signs a person in page by page, as a browser does, and returns the ID token that the application gets."""
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        browser = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}), jar)
        who = f"{account} {email} {'true' if verified else 'false'}"
        about = {"client_id": client_id(algorithm), "redirect_uri": BACK, "response_type": "code"}
        # As an application does: without it, two tokens issued within one second are identical.
        about |= {"scope": "openid email", "nonce": secrets.token_urlsafe()}
        address, form = f"{self.issuer}/auth?{urllib.parse.urlencode(about)}", None
        for _ in range(STEPS):
            try:
                with browser.open(address, form, timeout=20) as page:
                    text = page.read().decode()
            except urllib.error.HTTPError as redirect:
                with redirect:
                    if redirect.code not in {302, 303}:
                        raise AssertionError(redirect.read().decode()) from redirect
                    address, form = urllib.parse.urljoin(address, redirect.headers["Location"]), None
                if address.startswith(BACK):
                    code = urllib.parse.parse_qs(urllib.parse.urlparse(address).query)["code"][0]
                    return self._redeem(code, client_id(algorithm))
            else:
                [action] = re.findall(r'<form[^>]* action="([^"]+)"', text)
                [prompt] = re.findall(r'name="prompt" value="([a-z]+)"', text)
                address = urllib.parse.urljoin(address, action)
                form = urllib.parse.urlencode({"prompt": prompt, "login": who, "password": "any"}).encode()
        raise AssertionError("the provider asks again and again")

    def answers(self) -> bool:
        """Returns whether the provider is ready."""
        try:
            with _plain().open(f"{self.issuer}/.well-known/openid-configuration", timeout=10):
                return True
        except OSError:
            return False

    def _redeem(self, code: str, client: str) -> str:
        asked = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
        basic = base64.b64encode(f"{client}:secret".encode()).decode()
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.issuer}/token", urllib.parse.urlencode(asked).encode(), {"Authorization": f"Basic {basic}"}
        )
        with _plain().open(request, timeout=20) as answer:
            return str(json.load(answer)["id_token"])


@contextlib.contextmanager
def certified_provider() -> Iterator[CertifiedProvider]:
    """Runs the provider, or skips the calling test if it is not installed."""
    node = find("node")
    need(node and (FOLDER / "node_modules/oidc-provider").exists(), "the certified provider oidc-provider")
    port = free_port()
    command = [str(node), str(SERVER), str(FOLDER), str(port)]
    # Its output, such as the warning that its store is in memory, is meant for production.
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    provider = CertifiedProvider(f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + START_S
        while not provider.answers():
            assert running.poll() is None, "the provider ended instead of starting"
            assert time.monotonic() < deadline, "the provider did not start"
            time.sleep(0.1)
        yield provider
    finally:
        running.terminate()
        running.wait(20)
