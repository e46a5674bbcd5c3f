"""``GetDocument`` (looks up the session, checks access, reads the row) against a bare grpc.aio echo of the same bytes.

Both servers run in their own processes, with TLS, under the same load generator in one run; rounds are interleaved.
"""

import json
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import zegel
from bench import _run

CONNECTIONS: Final = 4
CALLS_AT_A_TIME: Final = 32
METHOD: Final = "zegel.document.v1.DocumentService/GetDocument"
ROUNDS: Final = {"small": 3, "large": 9}
SECONDS: Final = {"small": 2, "large": 5}


class Subject:
    """A server with a document to get."""

    def __init__(self, name: str, served: _run.Served, token: str, document_id: str) -> None:
        self.name = name
        self.served = served
        self.token = token
        self.document_id = document_id
        self.rates: list[float] = []
        self.cpu_us: list[float] = []

    def measure(self, protoset: Path, seconds: float) -> None:
        """Runs one round: measures calls per second, and the server's processor time per call."""
        before = cpu_seconds(self.served.pid)
        command = [str(_run.ghz()), "--cacert", str(self.served.authority), "--protoset", str(protoset)]
        command += ["--call", METHOD, "-d", json.dumps({"document_id": self.document_id})]
        command += ["-m", json.dumps({"authorization": f"Bearer {self.token}"}), "-c", str(CALLS_AT_A_TIME)]
        command += ["--connections", str(CONNECTIONS), "-z", f"{seconds}s", "--duration-stop", "wait"]
        command += ["--format", "json", self.served.target]
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        failed = {status: count for status, count in report["statusCodeDistribution"].items() if status != "OK"}
        if failed:
            raise SystemExit(f"bench: {self.name} answered {failed}")
        self.rates.append(report["rps"])
        self.cpu_us.append((cpu_seconds(self.served.pid) - before) / report["count"] * 1e6)


def cpu_seconds(pid: int) -> float:
    """Returns the user and system time that a process has used, in seconds (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def prepare(served: _run.Served) -> tuple[str, str, bytes]:
    """Makes a tenant with a document; returns a session's token, the document's ID, and the response's bytes."""
    authority = served.authority.read_bytes()
    operator = served.operator_token()
    with zegel.Client(served.target, token=operator, root_certificates=authority) as client:
        owner = client.with_token(client.identity.create_tenant(name="Bench").api_key_token)
        member = owner.identity.create_member(name="Ann", email="ann@example.com").member
        token = owner.identity.create_session(member_id=member.member_id).token
        sender = client.with_token(token)
        document = sender.documents.upload(one_page(), title="contract.pdf")
        answer = sender.documents.get_document(document_id=document.document_id)
        return token, document.document_id, answer.SerializeToString()


def one_page() -> bytes:
    """A PDF of one empty page."""
    import pikepdf  # noqa: PLC0415 - once

    pdf = pikepdf.new()
    pdf.add_blank_page(page_size=(595, 842))
    with tempfile.TemporaryFile() as file:
        pdf.save(file)
        file.seek(0)
        return file.read()


def main() -> None:
    """Measures and prints."""
    size = _run.arguments(__doc__ or "").size
    _run.ghz()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zegel-bench-")))
        protoset = _run.descriptors(folder, "zegel/document/v1/document_service.proto")
        subjects: list[Subject] = []
        answer = b""
        for name, served in _run.on_each_database(stack, folder):
            token, document_id, answer = prepare(served)
            subjects.append(Subject(name, served, token, document_id))
        floor = Subject(
            "echo", stack.enter_context(_run.echo(folder, folder / "sqlite", answer)), "none", subjects[0].document_id
        )
        for turn in range(ROUNDS[size] + 1):
            for subject in (floor, *subjects):
                subject.measure(protoset, 1 if turn == 0 else SECONDS[size])
                if turn == 0:  # warming up
                    subject.rates.clear()
                    subject.cpu_us.clear()
                else:
                    print(f"round {turn}: {subject.name:<10} {subject.rates[-1]:8,.0f}/s", flush=True)
    report([floor, *subjects], len(answer))


def report(subjects: list[Subject], answer_bytes: int) -> None:
    """Prints the figures; the last line is JSON."""
    rates = {subject.name: _run.median(subject.rates) for subject in subjects}
    ratios = {
        subject.name: _run.median([own / floor for own, floor in zip(subject.rates, subjects[0].rates, strict=True)])
        for subject in subjects[1:]
    }
    for subject in subjects:
        print(f"{subject.name:<10} {rates[subject.name]:8,.0f}/s, {_run.median(subject.cpu_us):5.0f} us of CPU a call")
    _run.finish(
        ratio=_run.rounded(ratios["sqlite"]),
        ratio_postgresql=_run.rounded(ratios["postgresql"]) if "postgresql" in ratios else None,
        per_second={name: round(rate) for name, rate in rates.items()},
        cpu_us={subject.name: round(_run.median(subject.cpu_us)) for subject in subjects},
        answer_bytes=answer_bytes,
    )


if __name__ == "__main__":
    main()
