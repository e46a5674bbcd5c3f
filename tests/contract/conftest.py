"""The contracts with their comments."""

import subprocess
import sys
from pathlib import Path

import grpc_tools
import pytest
from google.protobuf import descriptor_pb2

from support.tools import ROOT


@pytest.fixture(scope="session")
def descriptors(tmp_path_factory: pytest.TempPathFactory) -> descriptor_pb2.FileDescriptorSet:
    """The contracts as protoc reads them, comments included."""
    output = tmp_path_factory.mktemp("contracts") / "zegel.binpb"
    protos = ROOT / "protos"
    known = Path(grpc_tools.__file__).parent / "_proto"
    files = sorted(str(path) for path in protos.rglob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{protos}", f"-I{known}", "--include_source_info"]
    subprocess.run([*command, f"--descriptor_set_out={output}", *files], check=True)
    return descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes())
