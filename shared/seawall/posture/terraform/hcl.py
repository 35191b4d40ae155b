"""Terraform configurations in HCL: one folder of `.tf` files becomes the JSON syntax of the same configuration.

Variables take the value of the module's call, of `terraform.tfvars` and `*.auto.tfvars`, or their default; locals follow.
Whatever else has to be computed stays the `${...}` that Terraform's JSON syntax has for it, and so is never a verdict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

from seawall.domain.errors import MissingExtra
from seawall.posture.objects import Note, as_items, mapping, mappings, text
from seawall.posture.terraform.plans import KINDS

SUFFIXES: Final = frozenset({".tf", ".tfvars"})
MAX_BYTES: Final = 256 << 10
"""Of one file: the parser reads about 15 kB a second."""
MAX_DEPTH: Final = 20
MAX_MODULES: Final = 1000
"""Calls of modules in one run: modules that call each other twice double at every step."""
MAX_VALUES: Final = 5_000_000
"""Values worked out in one run, about 10 s: a local may name another twice, and that one a third."""
MAX_TEXT: Final = 256 << 10
"""Characters of a text that references were put into."""
_UNKNOWN: Final = "${unknown}"
_MODULE: Final = re.compile(rb'^\s*module\s+"', re.MULTILINE)
_RESOURCE: Final = re.compile(rb'^\s*resource\s+"(?:%s)"' % "|".join(sorted(KINDS)).encode(), re.MULTILINE)
_POLICY: Final = "data.aws_iam_policy_document"
_WHOLE: Final = re.compile(
    r"\$\{\s*(var|local|data\.aws_iam_policy_document)\.([\w-]+)((?:\.[\w-]+|\[(?:\d+|\"[^\"]*\")\])*)\s*\}"
)
_CALL: Final = re.compile(r"\$\{\s*jsonencode\((.*)\)\s*\}", re.DOTALL)
_STEP: Final = re.compile(r"\.([\w-]+)|\[(\d+)\]|\[\"([^\"]*)\"\]")
_HEREDOC: Final = re.compile(r"<<-?(\w+)\n(.*?)\n?\s*\1", re.DOTALL)
_ESCAPES: Final = {r"\"": '"', r"\\": "\\", r"\n": "\n", r"\t": "\t", r"\r": "\r"}


@dataclass(slots=True)
class Configurations:
    """What the folders of a target hold: each module's resources in Terraform's JSON syntax, with file or folder, and notes."""

    documents: list[tuple[Path, dict[str, Any]]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def configurations(files: Iterable[Path]) -> Configurations:
    """Read `.tf` and `.tfvars` files, folder by folder; a module that one of the folders calls is judged as it is called.

    Raises:
        MissingExtra: python-hcl2 is not installed.
    """
    reading = _Reading()
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(file.parent.resolve(), []).append(file)
    wanted = {folder: found for folder, found in folders.items() if reading.concerns(found)}
    called = {
        target
        for folder, found in wanted.items()
        for _, call in _named(reading.parsed(found), "module")
        if (target := _local_source(folder, call)) is not None and target != folder
    }
    for folder, found in wanted.items():
        if folder not in called:
            reading.evaluate(folder, found, {}, 0)
    return reading.result


class _Reading:
    def __init__(self) -> None:
        self.result = Configurations()
        self._bytes: dict[Path, bytes] = {}
        self._parsed: dict[Path, dict[str, Any]] = {}
        self._modules = 0
        self._budget = _Budget(MAX_VALUES)

    def concerns(self, files: Iterable[Path]) -> bool:
        """Whether a folder holds container resources or calls modules: others are not parsed."""
        return any(_RESOURCE.search(data) or _MODULE.search(data) for data in map(self._read, files))

    def parsed(self, files: Iterable[Path]) -> dict[Path, dict[str, Any]]:
        return {file: self._parse(file) for file in files if file.suffix == ".tf"}

    def evaluate(self, folder: Path, files: list[Path], arguments: Mapping[str, Any], depth: int) -> None:
        """Add the resources of one module, with its arguments put in, and of the local modules that it calls."""
        self._modules += 1
        if self._modules > MAX_MODULES:
            if self._modules == MAX_MODULES + 1:
                self.result.notes.append(
                    Note(str(folder), f"more than {MAX_MODULES:,} module calls: the rest is not read")
                )
            return
        parsed = self.parsed(files)
        values = _Values(
            parsed,
            [self._parse(file) for file in sorted(files) if _sets_variables(file, depth)],
            arguments,
            self._budget,
        )
        kept: dict[str, dict[str, Any]] = {}
        sources: set[Path] = set()
        for file, document in parsed.items():
            for kind, name, body in _resources(document):
                resolved = mapping(values.of(body)) if kind in KINDS else {}
                if resolved and resolved.get("count") != 0:
                    kept.setdefault(kind, {})[name] = resolved
                    sources.add(file)
        if kept:
            self.result.documents.append((sources.pop() if len(sources) == 1 else folder, {"resource": kept}))
        for _, call in _named(parsed, "module"):
            target = _local_source(folder, call)
            if (
                target is None
                or depth >= MAX_DEPTH
                or self._modules > MAX_MODULES
                or not target.is_dir()
                or mapping(values.of(call)).get("count") == 0
            ):
                continue
            inner = sorted(file for file in target.glob("*.tf") if file.is_file())
            self.evaluate(target, inner, mapping(values.of(call)), depth + 1)
        if self._budget.spent():
            self.result.notes.append(
                Note(str(folder), f"more than {MAX_VALUES:,} values: the rest is taken as unknown")
            )

    def _read(self, file: Path) -> bytes:
        if file not in self._bytes:
            try:
                size = file.stat().st_size
                self._bytes[file] = file.read_bytes() if size <= MAX_BYTES else b""
                if size > MAX_BYTES:
                    self.result.notes.append(Note(str(file), f"larger than {MAX_BYTES >> 10} KiB of HCL"))
            except OSError as error:
                self._bytes[file] = b""
                self.result.notes.append(Note(str(file), f"cannot be read: {error.strerror or error}"))
        return self._bytes[file]

    def _parse(self, file: Path) -> dict[str, Any]:
        if file not in self._parsed:
            self._parsed[file] = {}
            try:
                self._parsed[file] = parse(self._read(file).decode("utf-8-sig"))
            except (ValueError, RecursionError) as error:
                self.result.notes.append(
                    Note(str(file), str(error) if isinstance(error, ValueError) else "nested too deeply")
                )
        return self._parsed[file]


def parse(source: str) -> dict[str, Any]:
    """Return an HCL body in Terraform's JSON syntax: strings without quotes, expressions as `${...}`.

    Raises:
        ValueError: the text is not HCL.
        MissingExtra: python-hcl2 is not installed.
    """
    try:
        import hcl2
        from lark.exceptions import LarkError
    except ImportError as error:
        raise MissingExtra("terraform", "Terraform configurations in HCL") from error
    try:
        return mapping(_plain(hcl2.loads(source + "\n")))
    except LarkError as error:
        line = getattr(error, "line", 0)
        raise ValueError(f"not valid HCL{f' (line {line})' if isinstance(line, int) and line > 0 else ''}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items() if key not in {"__is_block__", "__comments__"}}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        inner = value[1:-1]
        if heredoc := _HEREDOC.fullmatch(inner.strip()):
            return heredoc[2]
        return re.sub(r"\\[\"\\ntr]", lambda found: _ESCAPES[found[0]], inner)
    return value


@dataclass(slots=True)
class _Budget:
    left: int
    told: bool = False

    def spent(self) -> bool:
        """Whether it is, once."""
        first, self.told = self.left < 0 and not self.told, self.left < 0
        return first


class _Values:
    """Variables and locals of one module."""

    def __init__(
        self,
        parsed: Mapping[Path, dict[str, Any]],
        set_by: Iterable[dict[str, Any]],
        arguments: Mapping[str, Any],
        budget: _Budget,
    ) -> None:
        self._known: dict[tuple[str, str], Any] = {}
        self._open: set[tuple[str, str]] = set()
        self._budget = budget
        for name, body in _named(parsed, "variable"):
            if "default" in body:
                self._known["var", name] = body["default"]
        for values in set_by:
            self._known |= {("var", name): value for name, value in values.items()}
        self._known |= {("var", name): value for name, value in arguments.items()}
        for document in parsed.values():
            for group in as_items(document.get("locals")):
                self._known |= {("local", name): value for name, value in mapping(group).items()}
            for item in as_items(document.get("data")):
                for name, body in mapping(mapping(item).get("aws_iam_policy_document")).items():
                    self._known[_POLICY, name] = {"json": json.dumps(_policy(mapping(self.of(body))))}

    def of(self, value: Any, depth: int = 0) -> Any:
        """Return a value with references to known variables and locals replaced, and dynamic blocks written out."""
        self._budget.left -= 1
        if depth > 100 or self._budget.left < 0:
            return _UNKNOWN
        if isinstance(value, dict):
            body = {key: self.of(item, depth + 1) for key, item in value.items() if key != "dynamic"}
            for name, block in chain.from_iterable(mapping(item).items() for item in as_items(value.get("dynamic"))):
                body[name] = [*as_items(body.get(name)), *self._dynamic(mapping(block), depth)]
            return body
        if isinstance(value, list):
            return [self.of(item, depth + 1) for item in value]
        if not isinstance(value, str) or "${" not in value:
            return value
        if call := _CALL.fullmatch(value):
            return self._encoded(call[1], depth) or value
        if whole := _WHOLE.fullmatch(value):
            return self._reference(whole, value, depth)
        room = MAX_TEXT - len(value)

        def within(found: re.Match[str]) -> str:
            nonlocal room
            inner = self._within(found, depth)
            room -= len(inner)
            self._budget.left -= len(inner) >> 6
            return inner if room >= 0 else _UNKNOWN

        return _WHOLE.sub(within, value)

    def _reference(self, found: re.Match[str], as_is: str, depth: int) -> Any:
        key = (found[1], found[2])
        if key not in self._known or key in self._open:
            return as_is
        self._open.add(key)
        try:
            value = self.of(self._known[key], depth + 1)
        finally:
            self._open.discard(key)
        for step in _STEP.finditer(found[3]):
            name, position = step[1] or step[3], step[2]
            if name is not None and isinstance(value, dict) and name in value:
                value = value[name]
            elif position is not None and isinstance(value, list) and int(position) < len(value):
                value = value[int(position)]
            else:
                return as_is
        return value

    def _within(self, found: re.Match[str], depth: int) -> str:
        value = self._reference(found, found[0], depth)
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, str | int | float) else found[0]

    def _encoded(self, inner: str, depth: int) -> str:
        try:
            return json.dumps(self.of(parse(f"value = {inner}").get("value"), depth + 1))
        except ValueError:
            return ""

    def _dynamic(self, block: dict[str, Any], depth: int) -> list[dict[str, Any]]:
        """Return the blocks that a dynamic one stands for; one of unknown content where their number is not known."""
        over = self.of(block.get("for_each"), depth + 1)
        contents = [self.of(mapping(item), depth + 1) for item in as_items(block.get("content"))]
        if isinstance(over, list | dict):
            return contents if over else []
        return [_unknown(item) for item in contents]


def _unknown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unknown(item) for key, item in value.items()}
    return [_unknown(item) for item in value] if isinstance(value, list) else _UNKNOWN


def _policy(body: dict[str, Any]) -> dict[str, Any]:
    """Return the IAM policy that a data block `aws_iam_policy_document` writes.

    Source: the aws provider's documentation of aws_iam_policy_document.
    """
    statements = []
    for item in mappings(as_items(body.get("statement"))):
        principals = mappings(as_items(item.get("principals")))
        statement = {
            "Sid": item.get("sid"),
            "Effect": item.get("effect", "Allow"),
            "Action": item.get("actions"),
            "Resource": item.get("resources"),
            "Principal": {text(entry.get("type")) or "AWS": entry.get("identifiers") for entry in principals},
            "Condition": item.get("condition"),
        }
        statements.append({key: value for key, value in statement.items() if value})
    return {"Statement": statements}


def _named(parsed: Mapping[Path, dict[str, Any]], kind: str) -> Iterable[tuple[str, dict[str, Any]]]:
    for document in parsed.values():
        for item in as_items(document.get(kind)):
            for name, body in mapping(item).items():
                yield name, mapping(body)


def _resources(document: dict[str, Any]) -> Iterable[tuple[str, str, dict[str, Any]]]:
    for item in as_items(document.get("resource")):
        for kind, named in mapping(item).items():
            for name, body in mapping(named).items():
                yield kind, name, mapping(body)


def _local_source(folder: Path, call: dict[str, Any]) -> Path | None:
    source = text(call.get("source"))
    return (folder / source).resolve() if source.startswith(("./", "../")) else None


def _sets_variables(file: Path, depth: int) -> bool:
    """Terraform reads these two names by itself, and only in the root module."""
    return not depth and (file.name == "terraform.tfvars" or file.name.endswith(".auto.tfvars"))
