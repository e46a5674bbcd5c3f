"""A partner's own contracts and Zegel's are linked into one program: no option, name or file of the two is the same."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from support.tools import ROOT

HOUSE = """
syntax = "proto3";
package partner.v1;
import "google/protobuf/descriptor.proto";
extend google.protobuf.MethodOptions {
  string %s = %d;
}
service Partner {
  rpc Ask(Question) returns (Question) { option (%s) = "partner"; }
}
message Question {}
"""


@pytest.mark.parametrize("number", [50001, 50002])
def test_a_partners_own_option_and_ours_are_linked_into_one_program(number: int, tmp_path: Path) -> None:
    (tmp_path / "partner.proto").write_text(HOUSE % ("house", number, "house"), encoding="utf-8")
    compiler = [sys.executable, "-m", "grpc_tools.protoc", f"-I{tmp_path}", f"--python_out={tmp_path}", "partner.proto"]
    subprocess.run(compiler, check=True, cwd=tmp_path)
    program = """
import partner_pb2
import zegel.client
from zegel.document.v1 import document_service_pb2
asked = partner_pb2.DESCRIPTOR.services_by_name["Partner"].methods_by_name["Ask"]
print(asked.GetOptions().Extensions[partner_pb2.house], len(document_service_pb2.DESCRIPTOR.services_by_name))
"""
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT / 'clients/python'}"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("partner 1\n", "")


def test_the_contracts_compile_as_the_documentation_says(tmp_path: Path) -> None:
    page = (ROOT / "docs/other-languages.md").read_text(encoding="utf-8")
    command = page.partition("```sh\n")[2].partition("```")[0]
    assert "grpc_tools.protoc" in command
    (tmp_path / "protos").symlink_to(ROOT / "protos")
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-euc", command], cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
    image = descriptor_pb2.FileDescriptorSet.FromString((tmp_path / "zegel.binpb").read_bytes())
    assert {"google/api/field_behavior.proto", "zegel/signing/v1/signing_service.proto"} <= {
        file.name for file in image.file
    }


def test_no_contract_extends_what_is_not_its_own(descriptors: descriptor_pb2.FileDescriptorSet) -> None:
    extended = [
        (file.name, each.extendee)
        for file in descriptors.file
        for extensions in (file.extension, *(message.extension for message in file.message_type))
        for each in extensions
    ]
    assert extended == []


def test_every_file_names_its_package_in_each_language(descriptors: descriptor_pb2.FileDescriptorSet) -> None:
    assert len(descriptors.file) > 5
    for file in descriptors.file:
        name = file.package.split(".")[1]
        options = file.options
        assert options.go_package == f"zegel/{name}/v1;{name}v1"
        assert options.java_package == file.package
        assert options.java_multiple_files
        assert options.csharp_namespace == f"Zegel.{name.capitalize()}.V1"
