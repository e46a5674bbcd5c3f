"""The code that a partner application would have: sending a document to two signers, and what each signer does."""

from typing import Final

import zegel

SIGNERS: Final = (("Sanne de Vries", "sanne@example.com"), ("Robin Jansen", "robin@example.com"))

SIGNATURE_BOX: Final = (0.08, 0.80, 0.38, 0.07)
"""Left, top, width and height of the first signer's signature, as fractions of the displayed page: they fit any
page."""

DATE_BOX: Final = (0.08, 0.88, 0.20, 0.03)
"""The same for the date below it."""

NEXT_SIGNER: Final = 0.46
"""Distance to the next signer's boxes on the right, as a fraction of the page."""


def boxes(page: zegel.Page, signer: int) -> tuple[zegel.Field, zegel.Field]:
    """A signature field and a date field for one signer, in the lower part of a page.

    Args:
        page: The page.
        signer: The signer's number, from 0.
    """

    def place(box: tuple[float, float, float, float], field_type: zegel.FieldType, name: str) -> zegel.Field:
        left, top, width, height = box
        return zegel.Field(
            api_id=f"{name}-{signer + 1}",
            name=f"{name} of {SIGNERS[signer][0]}",
            type=field_type,
            signer_index=signer,
            required=True,
            x=(left + signer * NEXT_SIGNER) * page.width,
            y=top * page.height,
            width=width * page.width,
            height=height * page.height,
        )

    return (
        place(SIGNATURE_BOX, zegel.FieldType.SIGNATURE, "signature"),
        place(DATE_BOX, zegel.FieldType.DATE_SIGNED, "date"),
    )


def send(sender: zegel.Client, document: zegel.Document) -> zegel.SignatureRequest:
    """Sends the document to both signers, the second after the first.

    Args:
        sender: The sender's client.
        document: The document to sign.
    """
    pages = document.versions[-1].pages
    fields = [field for number in range(len(SIGNERS)) for field in boxes(pages[-1], number)]
    for field in fields:
        field.page = len(pages)
    return sender.signing.create_signature_request(
        title=document.title,
        message="Please sign at the bottom of the last page.",
        documents=[zegel.RequestedDocument(document_id=document.document_id)],
        signers=[zegel.Signer(name=name, email=email, order=order) for order, (name, email) in enumerate(SIGNERS)],
        fields=fields,
    ).signature_request


def sign(signer: zegel.Client, number: int) -> None:
    """What a signer does: open, read, consent, fill, sign.

    Args:
        signer: The signer's client.
        number: The signer's number, from 0.
    """
    shown = signer.ceremony.open_ceremony().ceremony.rendition
    signer.documents.download(shown.document_id, version=shown.version)
    signer.ceremony.accept_disclosure()
    mark = zegel.FieldValue(api_id=f"signature-{number + 1}", mark=zegel.Mark(typed=SIGNERS[number][0]))
    signer.ceremony.fill_fields(values=[mark])
    signer.ceremony.sign_documents()
