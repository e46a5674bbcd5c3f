"""Validates a new request as the sender asks for it, and builds the request from it. No I/O but trials of texts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from zegel_server import clock, zones
from zegel_server.caller import Caller
from zegel_server.documents.signing_documents import SignableVersion
from zegel_server.edge import validation
from zegel_server.errors import InvalidArgument, Violations
from zegel_server.ids import new_id
from zegel_server.keys.service import Subject
from zegel_server.pdf.model import Box, Stamp
from zegel_server.pdf.trials import Trials
from zegel_server.signing.field_types import FieldType, SignedBy, draw_value, entry_of
from zegel_server.signing.fields import MAX_REQUEST_TEXT, Field, added_text_length, check_box, check_field
from zegel_server.signing.model import Progress
from zegel_server.signing.request import Person, PinnedDocument, SignatureRequest

MAX_TITLE: Final = 255
"""Characters of a title, as the contract says."""
MAX_MESSAGE: Final = 5_000
"""Characters of a message to the signers, as the contract says."""
MAX_NAME: Final = 200
"""Characters of a signer's name, as the contract says: it must fit beside the signature."""
MAX_DOCUMENTS: Final = 20
"""Documents of a request, as the contract says: they become one file."""
MAX_SIGNERS: Final = 50
"""Signers of a request, as the contract says: each is a row of the audit page."""
MAX_FIELDS: Final = 1_000
"""Fields of a request, as the contract says: they go into one message."""


@dataclass(frozen=True, slots=True)
class DocumentChoice:
    """A document to sign: its identifier, and its version or 0 for the newest at this moment."""

    document_id: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class Signer:
    """A person who is to sign: name, mail address, position in the signing order from 0, and time zone if named."""

    name: str
    email: str
    order: int = 0
    time_zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """A signature request as a sender asks for it.

    Attributes:
        title: Its title.
        message: What the sender writes to the signers.
        documents: What is to be signed, in order.
        signers: Who is to sign.
        fields: What is to be filled in.
        expire_time: When it expires, in microseconds since the epoch; ``None`` for never.
        team_id: The team that is to own it; empty for its sender.
        time_zone: The time zone of signers for whom none is named; empty for UTC.
    """

    title: str
    message: str = ""
    documents: tuple[DocumentChoice, ...]
    signers: tuple[Signer, ...]
    fields: tuple[Field, ...]
    expire_time: int | None = None
    team_id: str = ""
    time_zone: str = ""


def check_new_request(new: NewRequest) -> NewRequest:
    """Checks a new request as far as possible without its documents.

    Args:
        new: As the sender asks for it.

    Returns:
        The request in its stored form: texts normalised, signature fields required, a time zone for every signer.

    Raises:
        InvalidArgument: Names all that is wrong; ``MISSING_SIGNATURE_FIELD`` for a signer without a signature field.
        NotFound: A document's or the team's identifier is malformed.
    """
    violations = Violations()
    for items, name, least, most in (
        (new.documents, "documents", 1, MAX_DOCUMENTS),
        (new.signers, "signers", 1, MAX_SIGNERS),
        (new.fields, "fields", 0, MAX_FIELDS),
    ):
        with violations.gather():
            _count(items, name, least, most)
    violations.end()  # too many are not looked at one by one
    title, message = new.title, new.message
    with violations.gather():
        title = validation.text(title, "title", most=MAX_TITLE)
    with violations.gather():
        message = validation.text(message, "message", least=0, most=MAX_MESSAGE, lines=True)
    time_zone = zones.UTC
    with violations.gather():
        time_zone = validation.time_zone(new.time_zone, "time_zone")
    signers = tuple(_signers(new.signers, time_zone, violations))
    fields = tuple(_fields(new, violations))
    with violations.gather():
        if new.team_id:
            validation.identifier(new.team_id, "tea", "team_id", "team")
    for index, choice in enumerate(new.documents):
        with violations.gather():
            validation.identifier(choice.document_id, "doc", f"documents[{index}].document_id", "document")
        if choice.version < 0:
            violations.add(
                InvalidArgument(f"documents[{index}].version", "must be a version's number, or 0 for the newest")
            )
    violations.end()
    checked = replace(new, title=title, message=message, signers=signers, fields=fields, time_zone=time_zone)
    if added_text_length(checked.fields, [signer.name for signer in checked.signers]) > MAX_REQUEST_TEXT // 2:
        raise InvalidArgument("fields", "have more signatures under longer names than one file can show")
    signed_by = {field.signer_index for field in checked.fields if field.type is FieldType.SIGNATURE}
    for index in range(len(checked.signers)):
        if index not in signed_by:
            violations.add(
                InvalidArgument(f"signers[{index}]", "needs a signature field", reason="MISSING_SIGNATURE_FIELD")
            )
    violations.end()
    return checked


async def check_shown(trials: Trials, new: NewRequest) -> None:
    """Checks that what a request itself brings onto the pages can be drawn: texts, and days in the boxes for them.

    Args:
        trials: Draws them as a trial.
        new: The request, checked.

    Raises:
        InvalidArgument: Names the text that cannot be drawn or seen, or the field that is too small for its day.
        Unavailable: The sandbox stopped.
    """
    await trials.check_texts(_shown_texts(new))
    await trials.check_stamps(_shown_days(new))


def _shown_texts(new: NewRequest) -> Iterator[tuple[str, str]]:
    """Stamps' captions, and what the audit page shows; each text's path in the request, and the text."""
    yield "title", new.title
    for index, signer in enumerate(new.signers):
        yield f"signers[{index}].name", signer.name
        yield f"signers[{index}].email", signer.email


def _shown_days(new: NewRequest) -> Iterator[tuple[str, Stamp]]:
    """What Zegel will fill in when somebody signs, as it would be drawn today; each field's path, and the stamp."""
    nobody = SignedBy("", "", "")
    for index, field in enumerate(new.fields):
        fill = entry_of(field.type).fill
        if fill is not None:
            value = fill(clock.now(), new.signers[field.signer_index].time_zone)
            box = Box(1, 0.0, 0.0, field.width, field.height)
            yield f"fields[{index}]", draw_value(field.type, value, box, nobody)


def _count(items: Sequence[object], field: str, least: int, most: int) -> None:
    if len(items) < least:
        raise InvalidArgument(field, "must not be empty", reason="MISSING_FIELD")
    if len(items) > most:
        raise InvalidArgument(field, f"must be at most {most:,}, not {len(items):,}")


def _signers(signers: Sequence[Signer], time_zone: str, violations: Violations) -> Iterator[Signer]:
    seen: set[str] = set()
    for index, signer in enumerate(signers):
        path = f"signers[{index}]"
        name, email = signer.name, signer.email
        with violations.gather():
            email = validation.email(email, f"{path}.email")
            if email.casefold() in seen:
                raise InvalidArgument(f"{path}.email", "must be unlike every other signer's")
            seen.add(email.casefold())
        if signer.order < 0:
            violations.add(InvalidArgument(f"{path}.order", "must not be negative"))
        with violations.gather():
            name = validation.text(name, f"{path}.name", most=MAX_NAME).strip()
        own_zone = signer.time_zone
        with violations.gather():
            own_zone = validation.time_zone(own_zone, f"{path}.time_zone", default=time_zone)
        yield Signer(name, email, signer.order, own_zone)


def _fields(new: NewRequest, violations: Violations) -> Iterator[Field]:
    seen: set[str] = set()
    for index, field in enumerate(new.fields):
        path = f"fields[{index}]"
        with violations.gather():
            checked = check_field(field, path, documents=len(new.documents), signers=len(new.signers))
            if checked.api_id in seen:
                raise InvalidArgument(f"{path}.api_id", "must be unlike every other field's")
            seen.add(checked.api_id)
            yield checked


def check_boxes(new: NewRequest, described: Sequence[SignableVersion]) -> None:
    """Checks that each field's box lies on its page.

    Args:
        new: The request as it is asked for.
        described: Its documents, in order.

    Raises:
        InvalidArgument: A field's page does not exist, or the field does not lie within it.
    """
    for index, field in enumerate(new.fields):
        check_box(field, f"fields[{index}]", described[field.document_index].pages)


def build_request(
    caller: Caller,
    new: NewRequest,
    *,
    described: Sequence[SignableVersion],
    subjects: Sequence[Subject],
    tenant_name: str,
) -> SignatureRequest:
    """Builds the request to be sent; its rendition is made afterwards.

    Args:
        caller: Who sends it.
        new: What is asked for, checked.
        described: Its documents, in order.
        subjects: Its signers as subjects, in order.
        tenant_name: The tenant's name.
    """
    identifiers = [new_id("sig") for _ in new.signers]
    signers = zip(identifiers, new.signers, subjects, strict=True)
    return SignatureRequest(
        signature_request_id=new_id("req"),
        tenant_id=caller.tenant_id,
        tenant_name=tenant_name,
        owner_id=new.team_id or caller.principal_id,
        audit_id=new_id("aud"),
        title=new.title,
        message=new.message,
        create_time=clock.now(),
        documents=tuple(
            PinnedDocument(each.document_id, each.version, each.title, each.sha256, len(each.pages), each.size)
            for each in described
        ),
        fields=new.fields,
        people={key: Person(subject.subject_id, signer.name, signer.email) for key, signer, subject in signers},
        progress=Progress.sent(
            [(key, signer.order) for key, signer in zip(identifiers, new.signers, strict=True)], new.expire_time
        ),
        time_zone=new.time_zone,
        time_zones={key: signer.time_zone for key, signer in zip(identifiers, new.signers, strict=True)},
    )
