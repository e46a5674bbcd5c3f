"""A SoftHSM token for the tests, in a temporary folder."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from support.require import need
from support.tools import softhsm_module, tool

LABEL = "zegel tests"
PIN = "1234"


@dataclass(frozen=True)
class SoftToken:
    """A token that is ready for use.

    Attributes:
        module: SoftHSM's driver.
        folder: Where its configuration, PIN and objects lie.
    """

    module: Path
    folder: Path

    @property
    def url(self) -> str:
        """The token's PKCS#11 URI."""
        pin = quote(str(self.folder / "pin"))
        return f"pkcs11:token={quote(LABEL)}?module-path={quote(str(self.module))}&pin-source=file:{pin}"

    @property
    def tokens(self) -> Path:
        """The folder of its objects."""
        return self.folder / "tokens"


@contextmanager
def token(folder: Path) -> Iterator[SoftToken]:
    """Make a token, or skip the calling test. One at a time in a process: the driver reads its configuration once.

    Args:
        folder: An empty folder.
    """
    try:
        import pkcs11  # noqa: F401, PLC0415 - an optional extra
    except ImportError:
        need(False, "the Python package python-pkcs11", "pip install python-pkcs11")
    made = SoftToken(softhsm_module(), folder)
    made.tokens.mkdir()
    (folder / "pin").write_text(PIN + "\n")
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {made.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    try:
        subprocess.run(
            [str(tool("softhsm2-util")), "--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", PIN],
            check=True,
            capture_output=True,
        )
        yield made
    finally:
        if before is None:
            del os.environ["SOFTHSM2_CONF"]
        else:
            os.environ["SOFTHSM2_CONF"] = before
