"""Sealed files of the true seal's holder whose evidence is not right, or not this file's."""

import datetime as dt
import hashlib

import pytest

from support.forging import World, make_world
from support.sealed import (
    AUDIT,
    STAMP,
    box_of,
    log_key,
    make_evidence,
    make_leaf,
    make_pdf,
    make_rendition,
    prove,
    seal_spec,
)
from support.sealing_in_process import seal_rendition
from zegel.evidence.verification import Report, verify_pdf
from zegel_server.pdf.model import CompletionJob


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("authority"))


def check(world: World, pdf: bytes) -> Report:
    return verify_pdf(pdf, [world.sealed.vkey], [world.sealed.root_pem])


def failures(report: Report) -> dict[str, str]:
    assert not report.ok
    return {failure.name: failure.detail for failure in report.failures}


def with_evidence(world: World, files: dict[str, bytes]) -> bytes:
    job = CompletionJob(make_rendition(make_pdf()), [STAMP], AUDIT, files, dt.datetime.now(dt.UTC))
    seal = world.authority.seal
    return job.rendition + seal_rendition(job, seal_spec(world.authority), seal.sign, world.forger.respond).appended


@pytest.fixture(scope="module")
def files(world: World) -> dict[str, bytes]:
    rendition = make_rendition(make_pdf())
    certificate = world.authority.seal.chain[0]
    return make_evidence(log_key(), make_pdf(), rendition, certificate, [box_of(STAMP)]).files


def test_a_trail_that_was_edited_before_sealing_is_refused(world: World, files: dict[str, bytes]) -> None:
    edited = files["audit.jsonl"].replace(b'"decision":"allowed"', b'"decision":"alLowed"', 1)
    assert edited != files["audit.jsonl"]
    report = check(world, with_evidence(world, {**files, "audit.jsonl": edited}))
    assert set(failures(report)) == {"audit_trail"}
    assert report.facts.events == ()


@pytest.mark.parametrize("name", ["audit.jsonl", "completed.tlog-proof", "openings.json"])
@pytest.mark.parametrize("content", [b"", b"{}\n", b"\n" * 200_000, b"endstream"])
def test_evidence_that_is_none_is_refused_soon(
    world: World, files: dict[str, bytes], name: str, content: bytes
) -> None:
    found = failures(check(world, with_evidence(world, {**files, name: content})))
    assert set(found) == {"rendition" if name == "openings.json" else "audit_trail"}


def test_a_proof_of_an_earlier_event_is_refused(world: World, files: dict[str, bytes]) -> None:
    first = files["audit.jsonl"].split(b"\n")[0]
    proof = prove(first, log_key())
    assert set(failures(check(world, with_evidence(world, {**files, "completed.tlog-proof": proof})))) == {
        "audit_trail"
    }


def test_a_trail_without_a_request_is_refused(world: World, files: dict[str, bytes]) -> None:
    leaf = make_leaf(1, None, "SIGNATURE_REQUEST_SENT").replace(b'"trail":"trail-0001"', b'"trail":null')
    leaf = leaf.replace(b'"seq":1', b'"seq":null')
    bad = {**files, "audit.jsonl": leaf + b"\n", "completed.tlog-proof": prove(leaf, log_key())}
    assert set(failures(check(world, with_evidence(world, bad)))) == {"audit_trail"}


def test_evidence_of_another_request_is_refused(world: World) -> None:
    other = make_pdf("Another agreement")
    certificate = world.authority.seal.chain[0]
    evidence = make_evidence(log_key(), other, make_rendition(other), certificate, [box_of(STAMP)])
    assert set(failures(check(world, with_evidence(world, evidence.files)))) == {"rendition"}


def test_a_trail_that_names_another_seal_is_refused(world: World) -> None:
    rendition = make_rendition(make_pdf())
    other = hashlib.sha256(b"another certificate").digest()
    evidence = make_evidence(log_key(), make_pdf(), rendition, other, [box_of(STAMP)])
    assert set(failures(check(world, with_evidence(world, evidence.files)))) == {"seal_certificate"}
