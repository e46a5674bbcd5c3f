"""What the code imports is what the projects declare: nothing arrives by luck through somebody else's dependency."""

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lockfiles

ROOT = Path(__file__).resolve().parents[2]

OUR_OWN = {"zegel", "zegel_server", "support", "bench", "conftest"} | {
    path.stem for folder in ("scripts", "bench", "tests") for path in (ROOT / folder).glob("*")
}

NAMESPACES = {"google": {"protobuf", "googleapis-common-protos"}}
"""Packages that several distributions share."""

SERVER_ONLY = ("alembic", "asyncpg", "casbin", "obstore", "pikepdf", "reportlab", "sqlalchemy", "structlog")
EXTRA_ONLY = ("typer", "rich", "pyhanko", "pyhanko_certvalidator")


def imported(folder: Path) -> dict[str, Path]:
    """Top-level packages that the folder's hand-written code imports, each with one file that does."""
    found: dict[str, Path] = {}
    for path in folder.rglob("*.py"):
        if path.stem.endswith(("_pb2", "_pb2_grpc")):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("files") and node.args:
                # importlib.resources.files("a package"): data, such as a font, taken from where it is installed
                names = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            found.update({name.partition(".")[0]: path for name in names})
    return {name: path for name, path in found.items() if name not in sys.stdlib_module_names | OUR_OWN}


def declared(path: Path, *extras: str) -> set[str]:
    """Canonical names that one project asks for itself."""
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"]]
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return {canonicalize_name(Requirement(line).name) for line in lines}


SERVER = declared(ROOT / "pyproject.toml", "pkcs11", "aws-kms", "vault")
SDK = declared(ROOT / "clients/python/pyproject.toml", "cli")
EVERYTHING = {canonicalize_name(requirement.name) for requirement in lockfiles.wanted("build", "dev")} | SERVER


@pytest.mark.parametrize(
    ("folder", "names"),
    [("server", SERVER), ("clients/python/zegel", SDK), ("tests", EVERYTHING), ("scripts", EVERYTHING)],
)
def test_every_import_is_declared(folder: str, names: set[str]) -> None:
    distributions = packages_distributions()
    undeclared = {}
    for package, path in imported(ROOT / folder).items():
        owners = NAMESPACES.get(package) or {canonicalize_name(owner) for owner in distributions.get(package, [])}
        # One that is not installed has no owner to look up; its own name is the best guess.
        if not (owners or {canonicalize_name(package)}) & names:
            undeclared[package] = str(path.relative_to(ROOT))
    assert undeclared == {}


def test_the_sdk_is_imported_without_the_server_and_without_its_extra() -> None:
    program = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {(*SERVER_ONLY, *EXTRA_ONLY, "zegel_server")!r}:
            raise ImportError(f"the SDK imported {{name}}")
sys.meta_path.insert(0, Refuse())
import zegel
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
