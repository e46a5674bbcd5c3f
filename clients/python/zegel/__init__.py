"""Zegel: send a document for signature, sign it, fetch the sealed file, and verify it without asking anybody.

* :class:`zegel.Client` and :class:`zegel.aio.Client`: the client, synchronous and for asyncio.
* ``zegel.Field``, ``zegel.Signer``, ``zegel.Document``, ...: every message that a request or an answer holds.
* ``zegel.FieldType.SIGNATURE``, ``zegel.EventType``, ``zegel.Permission``, ...: every enum; see :mod:`zegel.enums`.
* ``zegel.NotFound``, ...: what a call raises; see :mod:`zegel.errors`.
* :mod:`zegel.evidence.verification`: checks a sealed file, offline (``pip install "zegel[cli]"``).

Nothing is loaded before it is used (PEP 562), so a program pays only for what it names.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zegel._names import PLACES

if TYPE_CHECKING:
    from zegel import aio as aio
    from zegel import errors as errors
    from zegel._names import *  # noqa: F403 - all of them are names of this module
    from zegel.client import Client as Client

_MODULES = frozenset({"aio", "errors"})

__all__ = ["Client", *sorted(_MODULES), *PLACES]  # noqa: PLE0604 - names, all of them


if not TYPE_CHECKING:  # a type checker would take every name for one of this module

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
