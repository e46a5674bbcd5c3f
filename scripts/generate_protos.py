"""Writes the SDK's generated messages, stubs and types from the contracts under ``protos/``.

The proto package is the Python package (``zegel.document.v1``), so the output of protoc is used as it is: no import is
rewritten. ``scripts/face.py`` adds the SDK's flat names, ``scripts/services.py`` its services and
``scripts/methods.py`` their methods. Invariants:

* The output depends only on the contracts and the locked generators; ``--check`` checks that the tree has it.
* A generated file that no contract produces any more is removed.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from contracts import ROOT, Contracts, contract_paths, run_protoc
from face import ENUMS, NAMES, write_face
from methods import CLIENTS, write_methods
from services import SERVICES, write_services

SDK = ROOT / "clients/python"
PACKAGES = "zegel/*/v1"
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi", "__init__.py")


def generate(target: Path) -> list[Path]:
    """Compiles every contract.

    Args:
        target: Folder in which ``zegel/<package>/v1/`` is written.

    Returns:
        The written files, relative to ``target``, sorted.

    Raises:
        GenerationError: protoc refused the contracts.
    """
    contracts = contract_paths()
    if not contracts:
        return []
    plugins = Path(sys.executable).parent
    arguments = [f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}"]
    arguments += [f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}"]
    arguments += [f"--python_out={target}", f"--grpc_python_out={target}"]
    arguments += [f"--mypy_out=quiet:{target}", f"--mypy_grpc_out=quiet:{target}"]
    run_protoc(arguments)
    for stub in target.rglob("*_pb2.pyi"):
        stub.write_text(take_datetimes(stub.read_text(encoding="utf-8")), encoding="utf-8")
    versions = {target / Path(contract).parent for contract in contracts}
    for folder in versions:
        _drop_empty_services(folder)
    for folder in versions | {folder.parent for folder in versions}:
        package = ".".join(folder.relative_to(target).parts)
        (folder / "__init__.py").write_text(f'"""Generated from the contracts of ``{package}``."""\n', encoding="utf-8")
    compiled = Contracts.compiled()
    write_face(target, compiled)
    write_services(target, compiled)
    write_methods(target, compiled)
    return sorted(path.relative_to(target) for path in target.rglob("*") if path.is_file())


def take_datetimes(stub: str) -> str:
    """Lets a message be created with a ``datetime`` for a ``Timestamp``, and a ``timedelta`` for a ``Duration``.

    Protobuf accepts them, but its types do not.

    Args:
        stub: The type stub of a generated module.
    """
    told = stub
    for message, own in (("_timestamp_pb2.Timestamp", "datetime"), ("_duration_pb2.Duration", "timedelta")):
        told = told.replace(f": {message} | None = ...", f": {message} | _datetime.{own} | None = ...")
    if told == stub:
        return stub
    return told.replace(
        "import builtins as _builtins\n", "import builtins as _builtins\nimport datetime as _datetime\n"
    )


def _drop_empty_services(folder: Path) -> None:
    """Removes the ``_pb2_grpc`` files of a contract without a service: protoc writes them with nothing but imports."""
    for path in folder.glob("*_pb2_grpc.py"):
        if "class " not in path.read_text(encoding="utf-8"):
            path.unlink()
            path.with_suffix(".pyi").unlink(missing_ok=True)


def committed() -> list[Path]:
    """Lists the generated files in the tree.

    Returns:
        Paths relative to the SDK's folder, sorted.
    """
    versions = sorted(SDK.glob(PACKAGES))
    found = {path for folder in versions for pattern in GENERATED for path in folder.glob(pattern)}
    found |= {path for folder in versions for path in folder.parent.glob("__init__.py")}
    found |= {
        path
        for path in (SDK / each for each in (ENUMS, NAMES, SERVICES, *(client.path for client in CLIENTS)))
        if path.exists()
    }
    return sorted(path.relative_to(SDK) for path in found)


def differences(fresh: Path) -> list[str]:
    """Compares freshly generated files with those in the tree.

    Args:
        fresh: Folder that ``generate`` has written.

    Returns:
        One sentence for each file that differs; empty when there is none.
    """
    made, held = set(generate(fresh)), set(committed())
    found = [f"{path} is missing" for path in sorted(made - held)]
    found += [f"{path} has no contract" for path in sorted(held - made)]
    found += [
        f"{path} differs" for path in sorted(made & held) if (fresh / path).read_bytes() != (SDK / path).read_bytes()
    ]
    return found


def main() -> int:
    """Runs the program.

    Returns:
        The exit code: 1 when the check found a difference.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the tree, write nothing")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory(prefix="zegel-protos-") as folder:
        fresh = Path(folder)
        found = differences(fresh)
        if check:
            for difference in found:
                print(f"protos: {difference}; run `make protos`", file=sys.stderr)
            return 1 if found else 0
        for path in committed():
            if not (fresh / path).exists():
                (SDK / path).unlink()
        for path in sorted(path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()):
            (SDK / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(fresh / path, SDK / path)
    print(f"{len(committed())} files, {len(found)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
