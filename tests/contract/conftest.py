"""The contracts with their comments."""

import pytest
from google.protobuf import descriptor_pb2

from contracts import run_protoc


@pytest.fixture(scope="session")
def descriptors(tmp_path_factory: pytest.TempPathFactory) -> descriptor_pb2.FileDescriptorSet:
    """The contracts as protoc reads them, comments included."""
    output = tmp_path_factory.mktemp("contracts") / "zegel.binpb"
    run_protoc(["--include_source_info", f"--descriptor_set_out={output}"])
    return descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes())
