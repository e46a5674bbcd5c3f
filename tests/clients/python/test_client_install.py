"""What a partner installs: the SDK by itself, with nothing of the server."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[3]
SDK = ROOT / "clients/python"

PROGRAM = """
import sys
import zegel
assert "grpc" not in sys.modules, "zegel loads gRPC before it is used"
import zegel.document.v1.document_service_pb2
assert zegel.FieldType.SIGNATURE and zegel.Field
assert "grpc" not in sys.modules, "messages load gRPC"
assert "cryptography" not in sys.modules
import zegel.aio, zegel.client, zegel.errors
import zegel.evidence.trail, zegel.client_encryption, zegel.segments, zegel.evidence.transparency
client = zegel.Client("localhost:1", insecure=True)
client.close()
assert all(getattr(zegel, name) is not None for name in zegel.__all__)
for name in ("zegel_server", "sqlalchemy", "casbin", "pikepdf", "structlog", "typer", "rich", "pyhanko", "pydantic"):
    assert name not in sys.modules, name
    try:
        __import__(name)
    except ImportError:
        continue
    raise AssertionError(f"{name} can be imported: the test shows nothing")
print(zegel.__file__)
"""


def needed(name: str) -> set[str]:
    """A distribution and all that it needs, without extras."""
    found: set[str] = set()
    left = [name]
    while left:
        each = canonicalize_name(left.pop())
        if each in found:
            continue
        found.add(each)
        wanted = map(Requirement, requires(each) or ())
        left += [need.name for need in wanted if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--wheel-dir", str(out), str(SDK)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    [built] = out.iterdir()
    return built


def test_the_wheel_has_the_package_its_types_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "zegel/py.typed" in names
    assert "zegel/document/v1/document_service_pb2.pyi" in names
    assert {name.split("/")[0] for name in names} == {"zegel", f"{wheel.name.rsplit('-', 3)[0]}.dist-info"}


def test_the_wheel_has_the_version_that_the_package_tells_and_the_server_asks_for(wheel: Path) -> None:
    import zegel  # noqa: PLC0415 - only here

    assert wheel.name.split("-")[1] == zegel.__version__ == str(Version(zegel.__version__))
    server = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"zegel[cli]=={zegel.__version__}" in server["dependencies"]
    assert server["version"] == zegel.__version__


def test_the_sdk_works_where_nothing_of_the_server_is(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    # Each distribution that the SDK asks for, and no other, as links: a virtual environment without the network.
    for name in needed("zegel") - {"zegel"}:
        installed = distribution(name)
        tops = {
            file.parts[0]
            for file in installed.files or ()
            if ".." not in file.parts and "__pycache__" not in file.parts
        }
        for top in tops:
            target, source = site / top, Path(str(installed.locate_file(top)))
            if top == "google":  # a namespace that several share
                target.mkdir(exist_ok=True)
                for inner in source.iterdir():
                    if not (target / inner.name).exists():
                        (target / inner.name).symlink_to(inner)
            elif not target.exists():
                target.symlink_to(source)
    program = f"import sys; sys.path.insert(0, {str(site)!r})\n{PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error::ImportWarning", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(site / "zegel/__init__.py")


def test_what_the_sdk_asks_for_is_little() -> None:
    assert needed("zegel") <= {
        "zegel",
        "grpcio",
        "protobuf",
        "googleapis-common-protos",
        "cryptography",
        "google-crc32c",
        "typing-extensions",
        "cffi",
        "pycparser",
    }


def test_the_oldest_grpc_and_protobuf_that_are_asked_for_suit_the_generated_code() -> None:
    project = tomllib.loads((SDK / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    floors = {}
    for line in project["dependencies"]:
        need = Requirement(line)
        floors[need.name] = next(Version(each.version) for each in need.specifier if each.operator == ">=")
    text = (SDK / "zegel/identity/v1/identity_service_pb2_grpc.py").read_text(encoding="utf-8")
    [grpc_made] = re.findall(r"GRPC_GENERATED_VERSION = '(.*)'", text)
    text = (SDK / "zegel/identity/v1/identity_service_pb2.py").read_text(encoding="utf-8")
    [protobuf_made] = re.findall(r"# Protobuf Python Version: (.*)", text)
    assert floors["grpcio"] >= Version(grpc_made)
    assert floors["protobuf"] >= Version(protobuf_made)


def test_the_command_s_extra_stays_with_the_command() -> None:
    """Only the modules of the command, of its witness's web server and of the PDF's validator import what it brings."""
    allowed = ("cli/", "evidence/verification/", "evidence/witness_http.py")
    brought = {"aiohttp", "typer", "rich", "pyhanko", "pyhanko_certvalidator", "asn1crypto", "click"}
    for path in (SDK / "zegel").rglob("*.py"):
        where = path.relative_to(SDK / "zegel").as_posix()
        if where.startswith(allowed):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names.append(node.module)
            tops = {name.partition(".")[0] for name in names}
            assert not tops & brought, where


def test_type_checkers_see_every_public_name() -> None:
    typed: set[str | None] = set()
    for module in ("__init__", "_names"):
        tree = ast.parse((SDK / f"zegel/{module}.py").read_text(encoding="utf-8"))
        [block] = [node for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.Name)]
        imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
        typed |= {alias.asname for node in imports for alias in node.names if alias.name != "*"}
    import zegel  # noqa: PLC0415 - only here

    assert typed == set(zegel.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = zegel.nonsense  # type: ignore[attr-defined]
