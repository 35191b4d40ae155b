"""A Terraform provider that has a real provider's schema and does nothing: for `terraform validate` and mocked tests.

azurerm and google are published only in HashiCorp's registry. Their schemas, read from the PyPI bindings generated from
them, lie in `../shared/data/terraform-schemas`; Terraform asks this server for them over its plugin protocol (version 5,
reattached by TF_REATTACH_PROVIDERS, so that neither `init` nor TLS comes into play). With `mock_provider` Terraform makes up
the values that a cloud would compute and calls nothing else. Everything that Terraform itself does is real: types,
conversions, `for_each` keys, references, input validations, pre-conditions, outputs.

What the schemas do not carry is not checked: allowed values, lengths, arguments that exclude each other.

Source: hashicorp/terraform docs/plugin-protocol/tfplugin5.proto (message and field numbers), hashicorp/go-plugin (handshake).
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

FILES = {"azurerm": "azurerm-18.9.0-2.json.gz", "google": "google-21.1.0-2.json.gz"}
REQUIRED, BLOCK, MANY = 1, 2, 4
NESTED_LIST = 2
SCALARS = {"string": '"string"', "number": '"number"', "bool": '"bool"', "any": '"dynamic"'}
TYPES = {**SCALARS, "list": '["list","string"]', "map": '["map","string"]'}
# Computed attributes that are no strings, and those of blocks, which the bindings do not tell from arguments.
COMPUTED_TYPES = {"number": '"string"', "uris": '["list","string"]'}
COMPUTED_IN_BLOCKS = {"identity": ("principal_id", "tenant_id")}


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _message(*fields: tuple[int, bytes | str | int]) -> bytes:
    """Return one protobuf message: numbers as varints, everything else length-delimited; zeros left out."""
    out = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            out += (_varint(number << 3) + _varint(value)) if value else b""
        else:
            body = value.encode() if isinstance(value, str) else value
            out += _varint(number << 3 | 2) + _varint(len(body)) + body
    return bytes(out)


def _attribute(name: str, kind: str, *, required: bool, computed: bool) -> bytes:
    optional = not required and (not computed or name == "id")
    return _message((1, name), (2, kind), (4, required), (5, optional), (6, computed))


class _Schemas:
    """The types that one module uses; a computed attribute is known by the name that the module writes."""

    def __init__(self, document: dict[str, Any], source: str) -> None:
        self._shapes: dict[str, dict[str, list[Any]]] = document["shapes"]
        self._words = {word.replace("_", ""): word for word in re.findall(r"\.([a-z][a-z0-9_]*)", source)}
        self._provider: str = document["provider"]
        self._kinds = {2: document["resources"], 3: document["data"]}
        self._used = {
            2: set(re.findall(r'^(?:resource|  mock_resource) "(\w+)"', source, re.MULTILINE)),
            3: set(re.findall(r'^(?:data|  mock_data) "(\w+)"', source, re.MULTILINE)),
        }

    def response(self) -> bytes:
        """Return GetProviderSchema.Response."""
        fields: list[tuple[int, bytes | str | int]] = [(1, _message((2, self._block(self._provider, ()))))]
        for number, kinds in self._kinds.items():
            for name in sorted(self._used[number] & set(kinds)):
                shape, attributes = kinds[name]
                schema = _message((2, self._block(shape, attributes)))
                fields.append((number, _message((1, name), (2, schema))))
        return _message(*fields)

    def _type(self, kind: str, shape: str | None) -> str:
        """Return the type of an attribute as JSON: lists and maps of objects whose members may be left out."""
        if shape is None:
            return TYPES[kind]
        members = self._shapes[shape]
        types = ",".join(f'"{name}":{self._type(item[1], item[2])}' for name, item in members.items())
        optional = json.dumps([name for name, item in members.items() if not item[0] & REQUIRED])
        made = f'["object",{{{types}}},{optional}]'
        return made if kind == "object" else f'["{kind}",{made}]'

    def _block(self, shape: str, attributes: tuple[str, ...] | list[str], block: str = "") -> bytes:
        fields: list[tuple[int, bytes | str | int]] = []
        arguments = self._shapes[shape]
        for name, (flags, kind, inner) in arguments.items():
            required = bool(flags & REQUIRED)
            if inner is None:
                fields.append(
                    (2, _attribute(name, TYPES[kind], required=required, computed=name == "id" and not required))
                )
                continue
            if not flags & BLOCK:
                fields.append((2, _attribute(name, self._type(kind, inner), required=required, computed=False)))
                continue
            most = 0 if flags & MANY else 1
            nested = self._block(inner, (), name)
            fields.append((3, _message((1, name), (2, nested), (3, NESTED_LIST), (4, required), (5, most))))
        known = {name.replace("_", "") for name in arguments}
        computed = [self._words[name] for name in attributes if name not in known and name in self._words]
        for name in (*computed, *(item for item in COMPUTED_IN_BLOCKS.get(block, ()) if item not in arguments)):
            kind = COMPUTED_TYPES.get(name, '"string"')
            fields.append((2, _attribute(name, kind, required=False, computed=True)))
        return _message(*fields)


def _echo(request: bytes, _: object) -> bytes:
    """PrepareProviderConfig: the configuration (field 1) comes back as field 1."""
    return request


def _nothing(_: bytes, __: object) -> bytes:
    """Validation without an objection."""
    return b""


def _upgrade(request: bytes, _: object) -> bytes:
    """UpgradeResourceState: raw_state.json (3.1) comes back as upgraded_state.json (1.2)."""
    position, states = 0, [b""]
    while position < len(request):
        tag, position = _read(request, position)
        size, position = _read(request, position)
        if tag & 7 == 0:
            continue
        if tag >> 3 == 3:
            inner = request[position : position + size]
            _, start = _read(inner, 0)
            length, start = _read(inner, start)
            states.append(inner[start : start + length])
        position += size
    return _message((1, _message((2, states[-1]))))


def _read(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


@contextmanager
def provider(name: str, module: Path, schemas: Path) -> Iterator[dict[str, str]]:
    """Serve the schema of provider `name` for the types of `module`; yields the environment for Terraform.

    Args:
        name: azurerm or google.
        module: folder of *.tf, with tests below.
        schemas: the folder with the schema files.
    """
    document = json.loads(gzip.decompress((schemas / FILES[name]).read_bytes()))
    source = "\n".join(path.read_text() for pattern in ("*.tf", "tests/*.hcl") for path in sorted(module.glob(pattern)))
    schema = _Schemas(document, source).response()
    calls = {
        "GetSchema": lambda _request, _context: schema,
        "PrepareProviderConfig": _echo,
        "ValidateResourceTypeConfig": _nothing,
        "ValidateDataSourceConfig": _nothing,
        "UpgradeResourceState": _upgrade,
    }
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", 64 << 20)])
    handlers = {call: grpc.unary_unary_rpc_method_handler(handler) for call, handler in calls.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tfplugin5.Provider", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    address = {"Network": "tcp", "String": f"127.0.0.1:{port}"}
    attached = {"Protocol": "grpc", "ProtocolVersion": 5, "Pid": os.getpid(), "Test": True, "Addr": address}
    try:
        yield {"TF_REATTACH_PROVIDERS": json.dumps({f"registry.terraform.io/hashicorp/{name}": attached})}
    finally:
        server.stop(None).wait()
