"""The client's methods, declared once for both the synchronous and the asyncio client.

A service class declares its methods as ``get_tenant = Unary(GetTenantRequest, GetTenantResponse)``. Read from a
synchronous service it is ``(...) -> GetTenantResponse``, read from one of asyncio ``(...) -> Coroutine``; the keyword
arguments are those of the request's generated class, so a type checker knows them, and a new field in a contract
needs no change here.
"""

import inspect
import re
from collections.abc import Callable, Coroutine, Iterable
from functools import cached_property
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar, cast, overload

from google.protobuf.message import Message

from zegel._internal.contract import rpc_of
from zegel._internal.port import drive
from zegel._internal.ports import AioPort, SyncPort
from zegel._internal.streams import AioPages, AioStream, Pages, Stream

P = ParamSpec("P")
AnswerT = TypeVar("AnswerT", bound=Message)
ItemT = TypeVar("ItemT")


class SyncService:
    """A service whose methods block."""

    def __init__(self, port: SyncPort) -> None:
        self._port: Final = port


class AioService:
    """A service whose methods are coroutines."""

    def __init__(self, port: AioPort) -> None:
        self._port: Final = port


def _port_of(service: SyncService | AioService) -> SyncPort | AioPort:
    return service._port  # noqa: SLF001 - the declarations below are the services' own methods


class Declared(Generic[P, AnswerT]):
    """A method from the contracts.

    Args:
        request: The generated class of its request.
        answer: The generated class of its response.
    """

    def __init__(self, request: Callable[P, Message], answer: type[AnswerT]) -> None:
        self.request = cast("Any", request)  # a generated class; as a Callable, its fields are the method's
        self.answer = answer
        self.__doc__ = inspect.cleandoc(rpc_of(self.request).doc)

    def __set_name__(self, owner: type, name: str) -> None:
        expected = re.sub(r"(?<!^)(?=[A-Z])", "_", rpc_of(self.request).name).lower()
        if name != expected:  # programs in other languages find the same method under the same name
            raise TypeError(f"{owner.__name__}.{name} is {expected} in the contract")
        self._name = name

    @cached_property
    def _signature(self) -> inspect.Signature:
        fields = self.request.DESCRIPTOR.fields
        return inspect.Signature([inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY) for each in fields])

    def _named(self, call: Callable[..., Any], service: object) -> Any:
        """Gives the bound method its name, docstring and signature from the contract."""
        call.__name__, call.__doc__ = self._name, self.__doc__
        call.__qualname__ = f"{type(service).__name__}.{self._name}"
        call.__signature__ = self._signature  # type: ignore[attr-defined]
        return call


class Unary(Declared[P, AnswerT]):
    """A unary method."""

    @overload
    def __get__(self, service: None, owner: type) -> Self: ...
    @overload
    def __get__(self, service: SyncService, owner: type) -> Callable[P, AnswerT]: ...
    @overload
    def __get__(self, service: AioService, owner: type) -> Callable[P, Coroutine[Any, Any, AnswerT]]: ...
    def __get__(self, service: SyncService | AioService | None, owner: type) -> Any:
        if service is None:
            return self
        port = _port_of(service)

        def call(**fields: Any) -> Any:
            if isinstance(port, SyncPort):
                return drive(port.unary(self.request(**fields), self.answer))
            return port.unary(self.request(**fields), self.answer)

        return self._named(call, service)


class Paged(Declared[P, AnswerT], Generic[P, AnswerT, ItemT]):
    """A method that lists, page by page.

    Args:
        request: The generated class of its request.
        answer: The generated class of its response.
        items: Gets the items of a page.
    """

    def __init__(
        self, request: Callable[P, Message], answer: type[AnswerT], items: Callable[[AnswerT], Iterable[ItemT]]
    ) -> None:
        super().__init__(request, answer)
        self.items = items

    @overload
    def __get__(self, service: None, owner: type) -> Self: ...
    @overload
    def __get__(self, service: SyncService, owner: type) -> Callable[P, Pages[AnswerT, ItemT]]: ...
    @overload
    def __get__(self, service: AioService, owner: type) -> Callable[P, AioPages[AnswerT, ItemT]]: ...
    def __get__(self, service: SyncService | AioService | None, owner: type) -> Any:
        if service is None:
            return self
        port = _port_of(service)

        def call(**fields: Any) -> Any:
            if isinstance(port, SyncPort):
                return Pages(port, self.request(**fields), self.answer, self.items)
            return AioPages(port, self.request(**fields), self.answer, self.items)

        return self._named(call, service)


class Streamed(Declared[P, AnswerT]):
    """A method that streams its responses."""

    @overload
    def __get__(self, service: None, owner: type) -> Self: ...
    @overload
    def __get__(self, service: SyncService, owner: type) -> Callable[P, Stream[AnswerT]]: ...
    @overload
    def __get__(self, service: AioService, owner: type) -> Callable[P, AioStream[AnswerT]]: ...
    def __get__(self, service: SyncService | AioService | None, owner: type) -> Any:
        if service is None:
            return self
        port = _port_of(service)

        def call(**fields: Any) -> Any:
            if isinstance(port, SyncPort):
                return Stream(port.receive(self.request(**fields), self.answer))
            return AioStream(port.receive(self.request(**fields), self.answer))

        return self._named(call, service)
