"""Forgeries in good form, with fresh tokens of the trusted authority: each is refused, and by what is wrong."""

import datetime as dt
from dataclasses import replace

import pytest
from cryptography import x509 as pyca_x509
from cryptography.hazmat.primitives.asymmetric import ec

from support.forging import Change, World, make_world, replaced, unstamped, with_second
from support.sealed import (
    AUDIT,
    STAMP,
    make_pdf,
    make_rendition,
    seal_spec,
)
from support.sealing_in_process import seal_rendition
from zegel.evidence.sealed_file.revisions import CATALOGUE, read_base, read_revisions, write_first, write_further
from zegel.evidence.sealed_file.syntax import Name, Ref, Stream, Value
from zegel.evidence.sealed_file.timestamps import MAX_VALIDATION, Validation
from zegel.evidence.verification import Report, verify_pdf
from zegel_server.credentials.keyed_certificate import KeyedCertificate
from zegel_server.pdf.model import CompletionJob


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("authority"))


def check(world: World, pdf: bytes) -> Report:
    return verify_pdf(pdf, [world.sealed.vkey], [world.sealed.root_pem])


def failures(report: Report) -> dict[str, str]:
    assert not report.ok
    return {failure.name: failure.detail for failure in report.failures}


def refuses(world: World, pdf: bytes, check_name: str, said: str) -> None:
    found = failures(check(world, pdf))
    assert said in found[check_name], found


# -------------------------------------------------------------------------------- what anybody may have, and no more


def test_what_anybody_may_have_made_is_accepted_and_told(world: World) -> None:
    again = world.forger.restamped(world.sealed.pdf)
    renewed = world.forger.renewed(world.forger.renewed(again))
    for pdf, count in ((again, "1 document timestamp."), (renewed, "3 document timestamps.")):
        report = check(world, pdf)
        assert report.ok, report.failures
        assert count in report.checks[0].detail


def test_a_renewal_after_the_last_path_ended_is_too_late(world: World) -> None:
    renewed = world.forger.renewed(world.sealed.pdf)
    report = verify_pdf(
        renewed, [world.sealed.vkey], [world.sealed.root_pem], now=dt.datetime.now(dt.UTC) + dt.timedelta(days=5000)
    )
    assert set(failures(report)) == {"document_timestamp"}


# --------------------------------------------------------------------------------- a timestamp's revision holds more


def entries(number_of: str, changes: dict[str, Value]) -> Change:
    def change(objects: dict[int, Value]) -> None:
        if number_of == "catalogue":
            replaced(objects, CATALOGUE, changes)
            return
        kind = {"field": "Annot", "timestamp": "DocTimeStamp"}.get(number_of)
        (number,) = (
            number
            for number, value in objects.items()
            if isinstance(value, dict)
            and (value.get("Type") == kind if kind else number_of == "form" and "Fields" in value)
        )
        replaced(objects, number, changes)

    return change


SCRIPT: Value = {"S": Name("JavaScript"), "JS": b"app.alert('9999')"}


@pytest.mark.parametrize(
    ("where", "changes"),
    [
        ("field", {"AA": {"O": SCRIPT}}),
        ("field", {"A": SCRIPT}),
        ("field", {"Rect": [0, 0, 500, 500], "AP": {"N": Ref(5)}}),
        ("field", {"F": 4}),
        ("field", {"P": Ref(3)}),
        ("field", {"T": b"ZegelSeal"}),
        ("field", {"V": Ref(4)}),
        ("field", {"Lock": {"Action": Name("All")}}),
        ("form", {"XFA": b"<xdp/>"}),
        ("form", {"NeedAppearances": True}),
        ("form", {"Fields": []}),
        ("form", {"SigFlags": 1}),
        ("timestamp", {"Reason": b"something that nobody signed"}),
        ("timestamp", {"M": b"D:20200101000000Z"}),
        ("timestamp", {"SubFilter": Name("ETSI.CAdES.detached")}),
        ("timestamp", {"Type": Name("Sig")}),
        ("catalogue", {"OpenAction": SCRIPT}),
        ("catalogue", {"AA": {"WC": SCRIPT}}),
        ("catalogue", {"Pages": Ref(3)}),
        ("catalogue", {"Lang": b"xx"}),
        ("catalogue", {"OCProperties": {}}),
        ("catalogue", {"Names": {}}),
        ("catalogue", {"Version": Name("2.0")}),
        ("catalogue", {"Extensions": {}}),
    ],
)
def test_a_timestamps_revision_that_holds_more_is_refused(world: World, where: str, changes: dict[str, Value]) -> None:
    for pdf in (
        world.forger.third(world.sealed.pdf, entries(where, changes)),
        *([] if where == "catalogue" else [world.forger.appended(world.sealed.pdf, entries(where, changes))]),
    ):
        refuses(world, pdf, "structure", "of a timestamp's revision is not as it should be")


def test_a_renewal_that_changes_another_object_is_refused(world: World) -> None:
    """Each object of the file in turn: the title, a page's content, a font, the seal."""
    file = world.file
    changed: dict[str, Value] = {"Type": Name("Page")}
    numbers = file.completion.numbers
    for number in {CATALOGUE, 2, 3, 4, 5, numbers.field, numbers.seal, numbers.info, numbers.first_audit_page}:
        for value in (changed, Stream({}, b"0 g 0 0 500 500 re f"), None):
            pdf = world.forger.appended(world.sealed.pdf, lambda objects, n=number, v=value: objects.update({n: v}))  # type: ignore[misc]
            refuses(world, pdf, "structure", "changes something that it must not")


def test_the_title_cannot_be_changed_with_another_information_dictionary(world: World) -> None:
    pdf = world.sealed.pdf
    revisions = read_revisions(pdf)
    last = revisions[-1]

    def change(objects: dict[int, Value]) -> None:
        objects[max(objects) + 1] = {"Title": b"Another agreement", "Producer": b"Zegel"}

    forged = world.forger.changed(pdf, read_base(pdf, last), world.file.state, change, info=last.size + 2)
    refuses(world, forged, "structure", "")


def test_an_object_more_at_the_end_is_refused(world: World) -> None:
    for value in (Stream({}, b"a letter that nobody sealed"), {"Type": Name("Page")}, None):
        pdf = world.forger.appended(
            world.sealed.pdf,
            lambda objects, v=value: objects.update({max(objects) + 1: v}),  # type: ignore[misc]
        )
        refuses(world, pdf, "structure", "validation data")


def test_a_plain_revision_without_a_timestamp_is_refused(world: World) -> None:
    pdf = world.sealed.pdf
    last = read_revisions(pdf)[-1]
    base = read_base(pdf, last)
    more = write_further(base, [(3, {"Type": Name("Page")})], size=last.size, info=last.info)
    refuses(world, pdf + more.data, "structure", "")


def test_a_second_body_is_refused(world: World) -> None:
    """Another whole file after ours, in our own form, with its own timestamp: readers that look for the last body."""
    other = make_rendition(make_pdf("9,999 euro"))
    refuses(world, world.sealed.pdf + other, "structure", "")
    refuses(world, other + world.sealed.pdf, "structure", "")
    revisions = read_revisions(other)
    moved = dict(revisions[0].objects.items())
    pdf = world.forger.appended(world.sealed.pdf, lambda objects: objects.update(moved))
    refuses(world, pdf, "structure", "changes something that it must not")


# --------------------------------------------------------------------------------------------- what is in the store


def test_the_store_holds_nothing_but_what_validates_this_file(world: World) -> None:
    authority = world.authority
    for added, said in (
        (Validation((b"a letter that nobody sealed",)), "is not a certificate"),
        (Validation((authority.tls.chain[0],)), "a certificate belongs to none of its signatures"),
        (Validation((), (b"a letter that nobody sealed",)), "not DER"),
        (Validation((), (), (b"a letter that nobody sealed",)), "not DER"),
    ):
        refuses(world, world.forger.renewed(world.sealed.pdf, added), "document_timestamp", said)
        held = unstamped(world.sealed.pdf)[3]
        merged = Validation(
            (*held.certificates, *added.certificates), (*held.crls, *added.crls), (*held.ocsps, *added.ocsps)
        )
        refuses(world, world.forger.restamped(world.sealed.pdf, merged), "document_timestamp", said)


def test_a_store_without_revocation_data_proves_nothing(world: World) -> None:
    held = unstamped(world.sealed.pdf)[3]
    bare = world.forger.restamped(world.sealed.pdf, Validation(held.certificates))
    assert set(failures(check(world, bare))) >= {"document_timestamp", "seal"}


def test_the_store_has_a_bound_that_is_named(world: World) -> None:
    many = Validation(tuple(b"%d" % number for number in range(MAX_VALIDATION - 20)))
    held = len(world.file.state.known)
    pdf = world.forger.renewed(world.sealed.pdf, many)
    assert failures(check(world, pdf))
    over = tuple(b"x%d" % number for number in range(MAX_VALIDATION - held + 1))

    def change(objects: dict[int, Value]) -> None:
        start = max(objects) + 1
        objects.update({start + index: Stream({}, each) for index, each in enumerate(over)})

    refuses(world, world.forger.appended(world.sealed.pdf, change), "structure", "")


# -------------------------------------------------------------------------------------------- another seal, other text


def sealed_by(world: World, identity: KeyedCertificate, text: str = "An agreement") -> bytes:
    """The evidence of the honest file, around another text, sealed by somebody else."""
    rendition = make_rendition(make_pdf(text))
    job = CompletionJob(rendition, [STAMP], AUDIT, dict(world.file.completion.files), dt.datetime.now(dt.UTC))
    held = unstamped(world.sealed.pdf)[3]
    spec = seal_spec(
        world.authority,
        chain=identity.chain,
        certificates=list(held.certificates),
        crls=list(world.authority.crls),
        signature_algorithm=identity.signature_algorithm,
    )
    return rendition + seal_rendition(job, spec, identity.sign, world.forger.respond).appended


def like(old: pyca_x509.Certificate, issuer: KeyedCertificate) -> KeyedCertificate:
    """A certificate that says what another one says, for a key of the forger's."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = pyca_x509.CertificateBuilder(
        issuer.certificate.subject,
        old.subject,
        key.public_key(),
        pyca_x509.random_serial_number(),
        old.not_valid_before_utc,
        old.not_valid_after_utc,
    )
    for extension in old.extensions:
        if not isinstance(extension.value, pyca_x509.AuthorityKeyIdentifier | pyca_x509.SubjectKeyIdentifier):
            builder = builder.add_extension(extension.value, critical=extension.critical)
    return KeyedCertificate(key, (builder.sign(issuer.key, issuer.hash_algorithm), *issuer.certificates))


def test_resealed_by_another_customer_of_the_same_issuer_is_refused(world: World) -> None:
    identity = like(world.authority.seal.certificate, world.authority.issuer)
    found = failures(check(world, sealed_by(world, identity)))
    assert "not by the certificate that the trail names" in found["seal_certificate"]
    found = failures(check(world, sealed_by(world, identity, "9,999 euro")))
    assert "does not begin with what the signers were shown" in found["rendition"]


def test_resealed_by_one_under_the_timestamps_issuer_is_refused(world: World) -> None:
    identity = like(world.authority.seal.certificate, world.authority.timestamp_issuer)
    found = failures(check(world, sealed_by(world, identity)))
    assert {"seal", "seal_certificate"} <= set(found)


@pytest.mark.parametrize("name", ["tls", "timestamp"])
def test_resealed_by_a_certificate_of_another_trade_is_refused(world: World, name: str) -> None:
    found = failures(check(world, sealed_by(world, getattr(world.authority, name))))
    assert {"seal", "seal_certificate"} <= set(found)


def test_the_true_seals_holder_cannot_exchange_the_rendition_or_the_boxes(world: World) -> None:
    """Even with the seal's key, what was signed is what the log knows."""
    seal = world.authority.seal
    found = failures(check(world, sealed_by(world, seal, "9,999 euro")))
    assert set(found) == {"rendition"}
    job = CompletionJob(
        make_rendition(make_pdf()),
        [replace(STAMP, x=STAMP.x + 0.5)],
        AUDIT,
        dict(world.file.completion.files),
        dt.datetime.now(dt.UTC),
    )
    pdf = job.rendition + seal_rendition(job, seal_spec(world.authority), seal.sign, world.forger.respond).appended
    assert "something is stamped where the request named no box" in failures(check(world, pdf))["rendition"]


def test_any_changed_byte_before_the_seal_breaks_it_whoever_stamps_it_anew(world: World) -> None:
    pdf = world.sealed.pdf
    before = pdf[: world.file.ends[1]]
    title = before.index(b"<416E2061677265656D656E74>")
    changed = before[: title + 1] + b"42" + before[title + 3 :]
    found = failures(check(world, with_second(pdf, world.forger, changed)))
    assert "is on other bytes" in found["seal"]


def test_another_rendition_in_front_of_the_same_additions_is_refused(world: World) -> None:
    first, second = read_revisions(world.sealed.pdf)[:2]
    objects = [value for _, value in sorted(first.objects.items())]
    for index, value in enumerate(objects):
        if isinstance(value, Stream) and value.entries.keys() <= {"Filter"}:
            objects[index] = replace(value, data=bytes(value.data)[:-1] + b"\0")
            break
    rendition = write_first(objects).data
    state = read_base(rendition, read_revisions(rendition)[0])
    assert state.size == first.size
    more = write_further(state, second.objects.items(), size=second.size, info=second.info).data
    refuses(world, world.sealed.pdf[:0] + rendition + more, "structure", "fewer revisions")
