"""The verification core against other people's vectors, the definition in RFC 6962, and what must be refused."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.merkle_log import KEY, ORIGIN, MadeLog, naive_consistency, naive_inclusion, naive_root
from support.shared import shared
from zegel.evidence import transparency as tl
from zegel.evidence.note_signing import SignerKey, sign_note, signature_line
from zegel.evidence.tiles import ENTRIES, Tile, decode_bundle, encode_bundle

VECTOR_COUNT = 518
LOG = KEY.verifier
WITNESS = SignerKey("witness.example/w1", tl.COSIGNATURE_ED25519, b"w" * 32)
QUANTUM = SignerKey("witness.example/w2", tl.COSIGNATURE_MLDSA44, b"q" * 32)
HASHES = [tl.leaf_hash(bytes([i])) for i in range(70)]


def check_vector(kind: str, case: dict[str, Any]) -> None:
    def of(name: str) -> bytes:
        return base64.b64decode(case[name])

    proof = [base64.b64decode(each) for each in case["proof"] or []]
    match kind:
        case "inclusion":
            tl.verify_inclusion(case["leafIdx"], case["treeSize"], of("leafHash"), proof, of("root"))
        case "consistency":
            tl.verify_consistency(case["size1"], case["size2"], of("root1"), of("root2"), proof)
        case "subtreeinclusion":
            subtree = (case["start"], case["end"])
            tl.verify_subtree_inclusion(case["leafIdx"], subtree, of("leafHash"), proof, of("root"))
        case "subtreeconsistency":
            subtree = (case["start"], case["end"])
            tl.verify_subtree_consistency(subtree, case["size"], of("root1"), of("root2"), proof)
        case _:
            raise AssertionError(kind)


def test_all_vectors_of_transparency_dev() -> None:
    vectors = shared("vectors/merkle")
    wrong: list[str] = []
    paths = sorted(vectors.rglob("*.json"))
    for path in paths:
        case = json.loads(path.read_text())
        try:
            check_vector(path.relative_to(vectors).parts[0], case)
            refused = False
        except tl.InvalidProof:
            refused = True
        if refused != case["wantErr"]:
            wrong.append(str(path.relative_to(vectors)))
    assert wrong == []
    assert len(paths) == VECTOR_COUNT


# ---------------------------------------------------------------------------------------------------------- Merkle tree


def test_root_is_the_definition_of_rfc_6962() -> None:
    assert [tl.merkle_root(HASHES[:n]) for n in range(71)] == [naive_root(HASHES[:n]) for n in range(71)]


def test_inclusion_of_every_leaf_and_of_no_other() -> None:
    for size in (1, 2, 3, 5, 7, 8, 13, 33):
        root = naive_root(HASHES[:size])
        for index in range(size):
            proof = naive_inclusion(index, HASHES[:size])
            tl.verify_inclusion(index, size, HASHES[index], proof, root)
            for other in set(range(-1, size + 2)) - {index}:
                with pytest.raises(tl.InvalidProof):
                    tl.verify_inclusion(other, size, HASHES[index], proof, root)


def test_consistency_of_every_pair_and_of_no_other() -> None:
    for new in range(1, 18):
        for old in range(1, new + 1):
            proof = naive_consistency(old, HASHES[:new])
            roots = (naive_root(HASHES[:old]), naive_root(HASHES[:new]))
            tl.verify_consistency(old, new, *roots, proof)
            if old != new:
                with pytest.raises(tl.InvalidProof):
                    tl.verify_consistency(old, new, roots[1], roots[0], proof)
                with pytest.raises(tl.InvalidProof):
                    tl.verify_consistency(old, new, *roots, [*proof, HASHES[0]])
                with pytest.raises(tl.InvalidProof):
                    tl.verify_consistency(old, new, *roots, proof[:-1])


def test_a_size_beyond_2_63_is_refused() -> None:
    with pytest.raises(tl.InvalidProof):
        tl.verify_inclusion(0, 2**63, HASHES[0], [], HASHES[0])


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_hash_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(tl.InvalidProof, match="32 bytes"):
        tl.verify_inclusion(0, 2, HASHES[0], [bytes(length)], HASHES[1])


# --------------------------------------------------------------------------------------------------------- signed notes


def test_reads_the_example_of_go_s_note_package() -> None:
    # Text, key and signature as golang.org/x/mod/sumdb/note documents them.
    vkey = tl.VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    line = (
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    note = f"{text}\n{line}".encode()
    assert tl.open_note(note, [vkey]).text == text.encode()


def test_one_key_under_one_name_has_another_id_for_each_type() -> None:
    assert WITNESS.verifier.key_id != SignerKey(WITNESS.name, tl.ED25519, WITNESS.seed).verifier.key_id


@pytest.mark.parametrize("key", [KEY, WITNESS, QUANTUM], ids=lambda key: hex(key.algorithm))
def test_a_vkey_has_one_form(key: SignerKey) -> None:
    vkey = str(key.verifier)
    assert tl.VerifierKey.parse(vkey) == key.verifier
    for mutant in (vkey + "\n", vkey + "=", vkey.replace("+", "++", 1), vkey[:-4], " " + vkey, vkey.upper(), ""):
        with pytest.raises(tl.InvalidKey):
            tl.VerifierKey.parse(mutant)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\tb", "a\nb", "\ud800"])
def test_a_key_name_with_a_space_or_a_plus_is_refused(name: str) -> None:
    with pytest.raises(tl.InvalidKey):
        SignerKey(name, tl.ED25519, b"s" * 32)


def test_a_key_of_an_unknown_type_or_length_is_refused() -> None:
    with pytest.raises(tl.InvalidKey):
        tl.VerifierKey("a", 0x05, bytes(32))
    with pytest.raises(tl.InvalidKey):
        tl.VerifierKey("a", tl.ED25519, bytes(31))
    with pytest.raises(tl.InvalidKey):
        SignerKey("a", tl.ED25519, bytes(31))


def test_a_signer_key_shows_no_secret() -> None:
    assert "s" * 8 not in repr(SignerKey("a", tl.ED25519, b"s" * 32))


TEXT = tl.Checkpoint(ORIGIN, 7, naive_root(HASHES[:7])).format()
LINE = KEY.sign(TEXT)
NOTE = sign_note(TEXT, LINE)


def test_a_note_of_unknown_keys_only_is_refused() -> None:
    with pytest.raises(tl.UnsignedNote):
        tl.open_note(NOTE, [WITNESS.verifier])
    with pytest.raises(tl.UnsignedNote):
        tl.open_note(NOTE, [])


def test_an_unknown_key_s_line_is_passed_over_whatever_it_signs() -> None:
    line = signature_line(WITNESS.verifier, bytes(72))
    opened = tl.open_note(sign_note(TEXT, line, LINE), [LOG])
    assert opened.signatures == {LOG: None}


def test_a_known_key_s_bad_line_refuses_the_note_beside_a_good_one() -> None:
    line = signature_line(WITNESS.verifier, bytes(72))
    with pytest.raises(tl.InvalidNoteSignature):
        tl.open_note(sign_note(TEXT, LINE, line), [LOG, WITNESS.verifier])


def test_a_repeated_line_of_a_known_key_is_refused() -> None:
    with pytest.raises(tl.InvalidNoteSignature, match="repeated"):
        tl.open_note(sign_note(TEXT, LINE, LINE), [LOG])


def test_another_key_under_the_log_s_name_is_another_key() -> None:
    other = SignerKey(ORIGIN, tl.ED25519, b"o" * 32)
    with pytest.raises(tl.UnsignedNote):
        tl.open_note(sign_note(TEXT, other.sign(TEXT)), [LOG])


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n",
        TEXT,
        TEXT + b"\n",
        TEXT + LINE,
        NOTE[:-1],
        NOTE + b"\n",
        NOTE + b"x",
        NOTE.replace(b"\n\n", b"\n \n"),
        NOTE.replace(b"\n", b"\r\n"),
        NOTE.replace("— ".encode(), b"- "),
        NOTE.replace("— ".encode(), "—  ".encode()),
        NOTE[:-1] + b" \n",
        NOTE[:-2] + b"\n",
        TEXT + b"\n" + "— x AAAAAA==\n".encode(),
        b"\xff" + NOTE,
        b"\x07" + NOTE,
        TEXT + b"\n" + LINE * (tl.MAX_SIGNATURES + 1),
        b"x" * tl.MAX_NOTE_BYTES + NOTE,
    ],
)
def test_what_is_no_note_is_refused(note: bytes) -> None:
    with pytest.raises(tl.InvalidNote):
        tl.open_note(note, [LOG])


def test_stray_bits_of_base64_are_refused() -> None:
    # 68 bytes end in one padding character, so the last letter has two bits that say nothing.
    assert NOTE.endswith(b"=\n")
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = letters.index(NOTE[-3])
    stray = NOTE[:-3] + letters[last ^ 1 : (last ^ 1) + 1] + NOTE[-2:]
    with pytest.raises(tl.InvalidNote, match="base64"):
        tl.open_note(stray, [LOG])


def test_a_text_may_hold_empty_lines() -> None:
    text = b"one\n\ntwo\n"
    assert tl.open_note(sign_note(text, KEY.sign(text)), [LOG]).text == text


@pytest.mark.parametrize("text", [b"", b"no newline"])
def test_a_text_without_end_is_not_signed(text: bytes) -> None:
    with pytest.raises(tl.InvalidNote):
        sign_note(text, KEY.sign(text))


@pytest.mark.parametrize("key", [WITNESS, QUANTUM], ids=lambda key: hex(key.algorithm))
def test_a_cosignature_tells_its_time_and_signs_it(key: SignerKey) -> None:
    line = key.sign(TEXT, 1_700_000_000)
    assert tl.open_note(sign_note(TEXT, line), [key.verifier]).signatures == {key.verifier: 1_700_000_000}
    signature = bytearray(base64.b64decode(line.split()[-1])[4:])
    signature[7] ^= 1
    with pytest.raises(tl.InvalidNoteSignature):
        key.verifier.verify(TEXT, bytes(signature))


def test_a_cosignature_is_no_signature_of_the_other_type() -> None:
    plain = SignerKey(WITNESS.name, tl.ED25519, WITNESS.seed)
    message = b"cosignature/v1\ntime 5\n" + TEXT
    line = base64.b64decode(plain.sign(message).split()[-1])
    # The very message that a cosignature signs: so whoever uses one key for both must never sign such a text.
    assert WITNESS.verifier.verify(TEXT, (5).to_bytes(8) + line[4:]) == 5
    with pytest.raises(tl.InvalidNoteSignature):
        plain.verifier.verify(TEXT, line[4:])


def test_only_cosignatures_have_a_time() -> None:
    with pytest.raises(tl.InvalidNote):
        KEY.sign(TEXT, 5)
    with pytest.raises(tl.InvalidNote):
        WITNESS.sign(TEXT)
    with pytest.raises(tl.InvalidNote):
        WITNESS.sign(TEXT, 2**63)


def test_ml_dsa_signs_no_extension_line_for_it_would_not_cover_it() -> None:
    text = TEXT + b"more\n"
    with pytest.raises(tl.InvalidCheckpoint):
        QUANTUM.sign(text, 5)
    line = QUANTUM.sign(TEXT, 5)
    with pytest.raises(tl.InvalidNoteSignature):
        tl.open_note(sign_note(text, line), [QUANTUM.verifier])


# ---------------------------------------------------------------------------------------------------------- checkpoints


@given(
    st.integers(0, tl.MAX_SIZE),
    st.binary(min_size=32, max_size=32),
    st.lists(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1), max_size=3),
)
def test_a_checkpoint_survives_its_format(size: int, root: bytes, extensions: list[str]) -> None:
    head = tl.Checkpoint(ORIGIN, size, root if size else tl.EMPTY_ROOT, tuple(extensions))
    assert tl.Checkpoint.parse(head.format()) == head


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: ["", *lines[1:]],
        lambda lines: [lines[0], "07", lines[2]],
        lambda lines: [lines[0], "+7", lines[2]],
        lambda lines: [lines[0], "7 ", lines[2]],
        lambda lines: [lines[0], "-1", lines[2]],
        lambda lines: [lines[0], "\u0667", lines[2]],
        lambda lines: [lines[0], str(2**63), lines[2]],
        lambda lines: [lines[0], "9" * 5000, lines[2]],
        lambda lines: [lines[0], "0", lines[2]],
        lambda lines: [lines[0], "7", lines[2][:-4]],
        lambda lines: [lines[0], "7", lines[2].rstrip("=")],
        lambda lines: lines[:2],
        lambda lines: [*lines, ""],
        lambda lines: [*lines, "", "x"],
    ],
)
def test_what_is_no_checkpoint_is_refused(change: Callable[[list[str]], list[str]]) -> None:
    lines = change(TEXT.decode().splitlines())
    with pytest.raises(tl.InvalidCheckpoint):
        tl.Checkpoint.parse("".join(f"{line}\n" for line in lines).encode())


def test_a_checkpoint_with_a_newline_in_a_line_is_not_written() -> None:
    with pytest.raises(tl.InvalidCheckpoint):
        tl.Checkpoint("a\nb", 1, bytes(32)).format()
    with pytest.raises(tl.InvalidCheckpoint):
        tl.Checkpoint("a", 1, bytes(32), ("b\nc",)).format()


def test_a_checkpoint_is_the_log_s_only_if_its_own_key_signed() -> None:
    cosigned = sign_note(TEXT, WITNESS.sign(TEXT, 5))
    with pytest.raises(tl.UnsignedNote, match="origin"):
        tl.open_checkpoint(cosigned, [LOG], [WITNESS.verifier], 1)
    other_log = SignerKey("example.com/other", tl.ED25519, b"o" * 32)
    with pytest.raises(tl.UnsignedNote, match="origin"):
        tl.open_checkpoint(sign_note(TEXT, other_log.sign(TEXT)), [LOG, other_log.verifier])


def test_a_quorum_counts_witnesses_not_lines() -> None:
    witnesses = [WITNESS.verifier, QUANTUM.verifier]
    both = sign_note(TEXT, LINE, WITNESS.sign(TEXT, 5), QUANTUM.sign(TEXT, 6))
    assert tl.open_checkpoint(both, [LOG], witnesses, 2).size == 7
    twin = SignerKey(WITNESS.name, tl.COSIGNATURE_MLDSA44, b"t" * 32)
    twice = sign_note(TEXT, LINE, WITNESS.sign(TEXT, 5), twin.sign(TEXT, 6))
    with pytest.raises(tl.UnsignedNote, match="few"):
        tl.open_checkpoint(twice, [LOG], [WITNESS.verifier, twin.verifier], 2)


# --------------------------------------------------------------------------------------------------------------- proofs


@pytest.fixture(scope="module")
def log() -> MadeLog:
    made = MadeLog()
    made.add(*(b"entry %d" % i for i in range(300)))
    return made


@pytest.mark.parametrize("index", [0, 1, 255, 256, 298, 299])
def test_a_proof_file_proves_its_leaf_and_no_other(log: MadeLog, index: int) -> None:
    data = log.proof(index, extra=True).format()
    proof = tl.LogProof.parse(data)
    assert proof.format() == data
    assert proof.extra == log.entries[index]
    assert proof.verify(proof.extra, [LOG]) == tl.Checkpoint(ORIGIN, 300, log.roots[300])
    with pytest.raises(tl.InvalidProof):
        proof.verify(b"another", [LOG])


def test_any_changed_byte_of_a_proof_file_is_noticed(log: MadeLog) -> None:
    data = log.proof(123, extra=True).format()
    for at in range(len(data)):
        for mutant in (data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], data[:at] + data[at + 1 :], data[:at]):
            with pytest.raises(tl.TransparencyError):
                (parsed := tl.LogProof.parse(mutant)).verify(parsed.extra, [LOG])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"c2sp.org/tlog-proof@v1\n", b"c2sp.org/tlog-proof@v2\n"),
        (b"c2sp.org/tlog-proof@v1\n", b""),
        (b"index 12\n", b"index 012\n"),
        (b"index 12\n", b"index +12\n"),
        (b"index 12\n", b"index  12\n"),
        (b"index 12\n", b"index 12 \n"),
        (b"index 12\n", b"index 12\r\n"),
        (b"index 12\n", b"index 9223372036854775808\n"),
        (b"index 12\n", b"extra \nindex 12\n"),
        (b"index 12\n", b"extra eA\nindex 12\n"),
        (b"index 12\n", b"index 12\nextra eA==\n"),
        (b"index 12\n", b"extra eA==\nextra eA==\nindex 12\n"),
        (b"index 12\n", b""),
        (b"index 12\n", b"index 12\n\n"),
        (b"index 12\n", b"index 12\nAAAA\n"),
        (b"index 12\n", b"index 12\n" + (b"A" * 43 + b"=\n") * 64),
    ],
)
def test_a_proof_file_has_one_form(log: MadeLog, old: bytes, new: bytes) -> None:
    data = log.proof(12).format()
    assert data.count(old) == 1
    with pytest.raises((tl.InvalidProofFile, tl.InvalidCheckpoint)):
        tl.LogProof.parse(data.replace(old, new))


def test_a_proof_file_too_long_is_refused_unread() -> None:
    with pytest.raises(tl.InvalidProofFile, match="long"):
        tl.LogProof.parse(b"c2sp.org/tlog-proof@v1\nextra " + b"AAAA" * 30_000 + b"\n\n")


def test_a_proof_without_file_form_is_not_written(log: MadeLog) -> None:
    checkpoint = log.checkpoint()
    for proof in (
        tl.LogProof(-1, (), checkpoint),
        tl.LogProof(0, (b"short",), checkpoint),
        tl.LogProof(0, (), b"no note"),
        tl.LogProof(0, (), checkpoint, b"x" * 70_000),
    ):
        with pytest.raises((tl.InvalidProofFile, tl.InvalidNote)):
            proof.format()


@given(st.binary(max_size=400))
def test_no_input_makes_it_raise_anything_else(data: bytes) -> None:
    for read in (tl.LogProof.parse, tl.Checkpoint.parse, lambda each: tl.open_note(each, [LOG])):
        with pytest.raises(tl.TransparencyError):
            read(data)


# ---------------------------------------------------------------------------------------------------------------- tiles


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 5, 7), "tile/0/005.p/7"),
        (Tile(1, 999, 255), "tile/1/999.p/255"),
        (Tile(2, 1000), "tile/2/x001/000"),
        (Tile(0, 1_234_067), "tile/0/x001/x234/067"),
        (Tile(ENTRIES, 1_234_067, 1), "tile/entries/x001/x234/067.p/1"),
        (Tile(63, 2**63 - 1), "tile/63/x009/x223/x372/x036/x854/x775/807"),
    ],
)
def test_paths_of_tlog_tiles(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert Tile.parse(path) == tile


@given(st.integers(ENTRIES, 63), st.integers(0, tl.MAX_SIZE), st.integers(1, 256))
def test_a_path_is_read_back(level: int, index: int, width: int) -> None:
    assert Tile.parse(Tile(level, index, width).path) == Tile(level, index, width)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/000\n",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/../000",
        "tile/0/x009/x223/x372/x036/x854/x775/808",
        "tile/data/000",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(tl.InvalidTile):
        Tile.parse(path)


@pytest.mark.parametrize(
    "tile", [Tile(-2, 0), Tile(64, 0), Tile(0, -1), Tile(0, 2**63), Tile(0, 0, 0), Tile(0, 0, 257)]
)
def test_a_tile_out_of_range_has_no_path(tile: Tile) -> None:
    with pytest.raises(tl.InvalidTile):
        _ = tile.path


@given(st.lists(st.binary(max_size=40), max_size=12))
def test_a_bundle_is_read_back_and_nothing_shorter_or_longer(entries: list[bytes]) -> None:
    data = encode_bundle(entries)
    assert decode_bundle(data, len(entries)) == entries
    for wrong, width in ((data + b"\0", len(entries)), (data, len(entries) + 1), (data[:-1], len(entries))):
        if wrong != data or width != len(entries):
            with pytest.raises(tl.InvalidTile):
                decode_bundle(wrong, width)


def test_a_bundle_has_limits() -> None:
    assert decode_bundle(encode_bundle([b"x" * 65_535]), 1) == [b"x" * 65_535]
    with pytest.raises(tl.InvalidTile):
        encode_bundle([b"x" * 65_536])
    with pytest.raises(tl.InvalidTile):
        encode_bundle([b""] * 257)


def test_the_core_depends_on_cryptography_and_the_standard_library_alone() -> None:
    source = Path(tl.__file__).read_text()
    imported = {line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert imported - {"cryptography"} == {
        "base64",
        "binascii",
        "re",
        "collections",
        "dataclasses",
        "hashlib",
        "typing",
    }
