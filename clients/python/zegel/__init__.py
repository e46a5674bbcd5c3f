"""Zegel: send a document for signature, sign it, download the sealed file, and verify it offline.

* :class:`zegel.Client` and :class:`zegel.aio.Client`: the client, synchronous and for asyncio.
* ``zegel.Field``, ``zegel.Signer``, ``zegel.Document``, ...: every message used in requests and responses.
* ``zegel.FieldType.SIGNATURE``, ``zegel.EventType``, ``zegel.Permission``, ...: every enum; see :mod:`zegel.enums`.
* ``zegel.NotFound``, ...: what a call raises; see :mod:`zegel.errors`.
* :mod:`zegel.evidence.verification`: checks a sealed file, offline (``pip install "zegel[cli]"``).
* ``zegel.__version__``: the SDK's version.

Modules are loaded on first use (PEP 562), so a program loads only what it uses.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zegel._names import PLACES

if TYPE_CHECKING:
    from zegel import aio as aio
    from zegel import errors as errors
    from zegel._names import *  # noqa: F403 - exactly the names to re-export
    from zegel.client import Client as Client

__version__ = "0.1.0"
"""The SDK's version: that of its distribution, which hatch reads here."""

_MODULES = frozenset({"aio", "errors"})

__all__ = ["Client", *sorted(_MODULES), *PLACES]  # noqa: PLE0604 - all are strings


if not TYPE_CHECKING:  # a type checker would otherwise accept any attribute

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return import_module(f"zegel.{name}")
        module = "zegel.client" if name == "Client" else PLACES.get(name)
        if module is None:
            raise AttributeError(f"module 'zegel' has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(module), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
