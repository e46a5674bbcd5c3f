"""Finds the programs that the tests run: first those that ``make tools`` installed in this tree, then those in PATH."""

import os
import shutil
from pathlib import Path

from support.require import need

ROOT = Path(__file__).resolve().parents[2]

FOLDERS = (ROOT / ".tools/bin", ROOT / ".venv/bin", Path("/usr/local/go/bin"))
"""Where to look before PATH."""

SOFTHSM_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
"""Where the packages of the usual systems put SoftHSM's PKCS#11 module."""

COMES_WITH = {
    "bao": "install-openbao",
    "buf": "buf-bin",
    "certutil": "libnss3-tools",
    "eu-dss": "install-eu-dss",
    "ghz": "[ghz]=",
    "go": "command -v go",
    "grpcurl": "[grpcurl]=",
    "litewitness": "[litewitness]=",
    "mutool": "mupdf-tools",
    "node": "Node",
    "openssl": "openssl",
    "pdfdetach": "poppler-utils",
    "pdffonts": "poppler-utils",
    "pdfsig": "poppler-utils",
    "pdftoppm": "poppler-utils",
    "pdftotext": "poppler-utils",
    "qpdf": "qpdf",
    "softhsm2-util": "softhsm2",
    "ssh-add": "openssh-client",
    "ssh-agent": "openssh-client",
    "ssh-keygen": "openssh-client",
    "versitygw": "versitygw",
    "vfychain": "libnss3-tools",
}
"""The programs that tests may ask for, and what brings each: words of the scripts that install, or ``pyproject``."""


def find(name: str) -> Path | None:
    """Looks for a program.

    Args:
        name: Its name, such as ``qpdf``.

    Returns:
        Its path, or nothing.

    Raises:
        KeyError: Nothing is said to bring it, so a fresh machine would not have it.
    """
    COMES_WITH[name]  # whatever happens to be on one machine is not on the next
    path = os.pathsep.join([*map(str, FOLDERS), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def tool(name: str) -> Path:
    """Returns a program's path, or skips the calling test.

    Args:
        name: Its name, such as ``pdfsig``.

    Returns:
        Its path.
    """
    found = find(name)
    need(found, f"the program {name}")
    assert found
    return found


NOTO_FONTS = Path("/usr/share/fonts/truetype/noto")
"""Where Debian's ``fonts-noto-core`` puts them."""


def noto_fonts() -> Path:
    """Returns the folder of the Noto project's fonts, or skips the calling test."""
    need((NOTO_FONTS / "NotoSansThaana-Regular.ttf").exists() or None, "the fonts of fonts-noto-core")
    return NOTO_FONTS


def softhsm_module() -> Path:
    """Returns the path of SoftHSM's PKCS#11 module, or skips the calling test."""
    named = os.environ.get("SOFTHSM2_MODULE")
    found = next((Path(path) for path in (named, *SOFTHSM_MODULES) if path and Path(path).exists()), None)
    need(found, "the PKCS#11 module of softhsm2")
    assert found
    return found
