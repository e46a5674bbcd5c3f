"""Describes what was found in an upload, for the sender to know before sending it for signature."""

from collections.abc import Iterator

from zegel.document.v1.document_service_pb2 import DocumentFindings, FoundSignature, FoundSignatureKind


def findings_in_words(findings: DocumentFindings) -> Iterator[str]:
    """Describes what the rendition leaves out or changes, one item at a time.

    Args:
        findings: What was found.
    """
    if findings.was_encrypted:
        yield "was encrypted under the empty password"
    if findings.has_form:
        yield "has form fields: what is filled in becomes part of the page"
    if findings.has_scripts:
        yield "has scripts, which are left out"
    if findings.has_hidden_content:
        yield "has hidden content, which is left out"
    if findings.attachment_count:
        yield f"has {findings.attachment_count:,} attached files, which are left out"
    for each in findings.signatures:
        yield _signature(each)
    if findings.fonts_substituted:
        yield f"fonts that were substituted: {', '.join(findings.fonts_substituted)}"
    if findings.fonts_missing:
        yield f"fonts that each viewer chooses: {', '.join(findings.fonts_missing)}"
    if findings.differences:
        pages = ", ".join(f"{each.page} ({each.share:.1%})" for each in findings.differences)
        yield f"pages that look different: {pages}"


def _signature(found: FoundSignature) -> str:
    kinds = {
        FoundSignatureKind.FOUND_SIGNATURE_KIND_APPROVAL: "a digital signature",
        FoundSignatureKind.FOUND_SIGNATURE_KIND_CERTIFICATION: "a certification",
        FoundSignatureKind.FOUND_SIGNATURE_KIND_TIMESTAMP: "a document timestamp",
    }
    kind = kinds.get(found.kind, "a signature of another kind")
    state = "intact" if found.intact else "broken"
    covered = "" if found.covers_whole_file else ", something was added after it"
    return f"has {kind} ({state}{covered}), which ends with sealing"
