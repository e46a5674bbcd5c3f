"""Who asks for the word of witnesses believes nothing without it: a sealed file, a whole log, one that is followed."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.merkle_log import KEY, MadeLog, make_trail
from support.sealed import Sealed, log_key, make_sealed
from zegel.cli.commands import app
from zegel.evidence.note_signing import SignerKey
from zegel.evidence.transparency import COSIGNATURE_ED25519, COSIGNATURE_MLDSA44, Checkpoint, InvalidKey
from zegel.evidence.verification import verify_pdf

W1 = SignerKey("w.example/1", COSIGNATURE_ED25519, b"1" * 32)
W2 = SignerKey("w.example/2", COSIGNATURE_MLDSA44, b"2" * 32)
ABSENT = SignerKey("w.example/3", COSIGNATURE_ED25519, b"3" * 32)


@pytest.fixture(scope="module")
def cosigned(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return make_sealed(tmp_path_factory.mktemp("cosigned"), witnesses=(W1, W2))


def valid(sealed: Sealed, needed: int, *witnesses: SignerKey, proof: bytes | None = None) -> set[str]:
    """The checks that failed."""
    report = verify_pdf(
        sealed.pdf,
        [sealed.vkey],
        [sealed.root_pem],
        proof,
        witness_vkeys=[str(each.verifier) for each in witnesses],
        witnesses_needed=needed,
    )
    return {each.name for each in report.failures}


def test_a_file_is_valid_with_as_many_witnesses_as_were_asked_for(cosigned: Sealed) -> None:
    assert valid(cosigned, 0) == set()
    assert valid(cosigned, 1, W1) == valid(cosigned, 1, W2, ABSENT) == set()
    assert valid(cosigned, 2, W1, W2, ABSENT, proof=cosigned.detached) == set()


def test_a_file_with_too_few_is_not(cosigned: Sealed) -> None:
    both = {"audit_trail", "detached_proof"}
    assert valid(cosigned, 2, W1, ABSENT, proof=cosigned.detached) == both
    assert valid(cosigned, 1, ABSENT) == {"audit_trail"}
    # The same name with another key is another witness.
    other = SignerKey(W1.name, COSIGNATURE_ED25519, b"9" * 32)
    assert valid(cosigned, 1, other) == {"audit_trail"}


def test_a_bad_line_of_a_known_witness_refuses_even_where_none_is_needed(tmp_path: Path) -> None:
    class Lying(SignerKey):
        def sign(self, text: bytes, timestamp: int | None = None) -> bytes:
            return super().sign(text.replace(b"\n2\n", b"\n3\n"), timestamp)

    sealed = make_sealed(tmp_path, witnesses=(Lying(W1.name, W1.algorithm, W1.seed), W2))
    assert valid(sealed, 0, W2) == set()
    assert valid(sealed, 0, W1) == valid(sealed, 1, W1, W2) == {"audit_trail"}


def test_no_key_is_no_witness(cosigned: Sealed) -> None:
    with pytest.raises(InvalidKey):
        verify_pdf(cosigned.pdf, [cosigned.vkey], [cosigned.root_pem], witness_vkeys=["w.example/1"])


# ------------------------------------------------------------------------------------------------------------ commands


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    return done.exit_code, done.output


def test_the_command_that_verifies_a_file_takes_witnesses(cosigned: Sealed, tmp_path: Path) -> None:
    for name, data in (("s.pdf", cosigned.pdf), ("root.pem", cosigned.root_pem), ("key", cosigned.vkey.encode())):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "w1").write_text(f"{W1.verifier}\n")
    base = ("verify", tmp_path / "s.pdf", "--log-key", tmp_path / "key", "--trust", tmp_path / "root.pem")
    assert run(*base, "--witness", tmp_path / "w1")[0] == 0
    assert run(*base, "--witness", W1.verifier, "--witness", W2.verifier)[0] == 0
    # Where it is not said how many, all of them.
    status, said = run(*base, "--witness", W1.verifier, "--witness", ABSENT.verifier)
    assert (status, "too few witnesses" in " ".join(said.lower().split())) == (1, True)
    assert run(*base, "--witness", W1.verifier, "--witness", ABSENT.verifier, "--witnesses-needed", 1)[0] == 0
    for wrong in (("--witness", "no key"), ("--witnesses-needed", 1), ("--witness", log_key().verifier)):
        assert run(*base, *wrong)[0] == 2


def test_the_commands_that_read_a_log_take_witnesses(tmp_path: Path) -> None:
    log = MadeLog()
    log.add(*make_trail(3))
    files = log.files()
    text = Checkpoint(KEY.name, 3, log.roots[3]).format()
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    base = (tmp_path, "--log-key", KEY.verifier)
    state = ("--state", tmp_path / "state")
    asked = ("--witness", W1.verifier, "--witness", ABSENT.verifier, "--witnesses-needed", 1)
    assert run("audit", "verify", *base, *asked)[0] == 1
    assert run("audit", "monitor", *base, *state, *asked)[0] == 1
    assert not (tmp_path / "state").exists()
    (tmp_path / "checkpoint").write_bytes(files["checkpoint"] + W1.sign(text, 1_800_000_000))
    assert run("audit", "verify", *base, *asked)[0] == 0
    assert run("audit", "monitor", *base, *state, *asked)[0] == 0
    assert run("audit", "monitor", *base, *state, *asked)[0] == 0
    status, said = run("audit", "verify", *base, "--witness", W1.verifier, "--witnesses-needed", 2)
    assert (status, "2 witnesses are needed, and 1 named" in said) == (1, True)
