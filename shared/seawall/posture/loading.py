"""From files, folders and streams to objects: every form that posture reads, with a note for whatever could not be read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from seawall.domain.errors import InputError, MissingExtra, NotFound, TooLarge
from seawall.posture.clouds import cloud_objects, expand
from seawall.posture.objects import Note, Obj, mapping, text
from seawall.posture.terraform.hcl import SUFFIXES as HCL_SUFFIXES
from seawall.posture.terraform.hcl import configurations
from seawall.posture.yaml_reader import documents

MAX_FILE_BYTES: Final = 1 << 30
MAX_FILES: Final = 200_000
MAX_OBJECTS: Final = 2_000_000
SUFFIXES: Final = frozenset({".yaml", ".yml", ".json", ".jsonl", ".ndjson"})
_SKIPPED_FOLDERS: Final = frozenset({".git", ".github", "node_modules", ".venv", "__pycache__", ".terraform"})
RECORDS: Final = frozenset({"ClusterDescribe", "DescribeRepositories", "ListEntitiesForPolicies"})
"""Kinds of records in which other collectors wrap a cloud's answers."""
_SMALL: Final = 4 << 20
"""Up to this size a JSON file is also searched for duplicate keys, which the fast decoder does not tell."""
_SONOBUOY: Final = re.compile(r"^(?:core|[a-z0-9.-]+)_(v\d\w*)_([a-z]+)$")


class _ListDocument(msgspec.Struct):
    kind: str = ""
    apiVersion: str = ""  # noqa: N815 - the API's word
    items: list[msgspec.Raw] = []


@dataclass(slots=True)
class Loaded:
    """What was read. `notes` tell what could not be; `skipped` counts documents that are no object of a kind we know."""

    objects: list[Obj] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    files: int = 0
    skipped: int = 0

    def add(self, value: object, source: str, *, assumed_kind: str = "") -> None:
        """Add every object found in one decoded document: a list, a `List` kind, a cloud answer, a plan or an object."""
        try:
            self._add(value, source, assumed_kind, 0)
        except RecursionError:
            self.notes.append(Note(source, "nested too deeply"))

    def _add(self, value: object, source: str, assumed_kind: str, depth: int) -> None:
        if len(self.objects) > MAX_OBJECTS:
            raise TooLarge(f"more than {MAX_OBJECTS:,} objects", hint="assess one namespace or cluster at a time")
        if isinstance(value, list):
            for item in value:
                self._add(item, source, assumed_kind, depth + 1)
            return
        if not isinstance(value, dict) or depth > 8:
            self.skipped += value is not None
            return
        kind, api = value.get("kind"), value.get("apiVersion")
        if isinstance(kind, str) and kind.endswith("List") and "items" in value:
            self._add_list(value, kind, source, depth)
        elif (isinstance(kind, str) and kind and (isinstance(api, str) or "metadata" in value)) or assumed_kind:
            obj = Obj(prune(value), kind=text(kind) or assumed_kind, source=source)
            self.objects.append(obj)
            if obj.kind in RECORDS:
                self.objects += expand(obj)
        elif found := cloud_objects(value, source):
            self.objects += found
        elif isinstance(items := value.get("items"), list) and items and isinstance(items[0], dict):
            self._add(items, source, assumed_kind, depth + 1)
        else:
            self.skipped += 1
            if "apiVersion" in value or "kind" in value:
                self.notes.append(Note(source, "an object without a readable apiVersion and kind was left out"))

    def _add_list(self, value: dict[str, Any], kind: str, source: str, depth: int) -> None:
        items = value.get("items")
        if items is None:
            return
        if not isinstance(items, list):
            self.notes.append(Note(source, f"items of a {kind} is not a list"))
            return
        inner = "" if kind == "List" else kind.removesuffix("List")
        for item in items:
            if inner and isinstance(item, dict) and not item.get("kind"):
                item = {"apiVersion": value.get("apiVersion", "v1"), "kind": inner} | item
            self._add(item, source, inner, depth + 1)


def load(target: str | os.PathLike[str]) -> Loaded:
    """Read a file or a folder: manifests, `kubectl get -o json|yaml`, rendered Helm, Terraform (HCL, plans), cloud answers.

    A file that cannot be read becomes a note. Folders are walked in name order without following links.

    Raises:
        NotFound: `target` does not exist.
    """
    path = Path(target)
    loaded = Loaded()
    if path.is_dir():
        terraform: list[Path] = []
        for file in _files_below(path, loaded):
            if file.suffix in HCL_SUFFIXES:
                terraform.append(file)
            else:
                load_file(file, loaded, source=str(file.relative_to(path)))
        load_terraform(terraform, loaded, root=path)
    elif path.exists():
        load_file(path, loaded, source=str(path), wanted=True)
    else:
        raise NotFound(f"{path} does not exist")
    return loaded


def _files_below(root: Path, loaded: Loaded) -> Iterator[Path]:
    count = 0
    for folder, folders, names in os.walk(
        root, onerror=lambda error: loaded.notes.append(Note(str(error.filename), "cannot be listed"))
    ):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS)
        for name in sorted(names):
            file = Path(folder, name)
            if file.suffix.lower() in SUFFIXES or file.suffix in HCL_SUFFIXES:
                count += 1
                if count > MAX_FILES:
                    loaded.notes.append(Note(str(root), f"only the first {MAX_FILES:,} files were read"))
                    return
                yield file


def load_terraform(files: list[Path], loaded: Loaded, *, root: Path) -> None:
    """Read Terraform configurations in HCL, folder by folder; without python-hcl2 they become one note.

    Source: HCL native syntax specification; Terraform's JSON configuration syntax, into which they are turned.
    """
    if not files:
        return
    try:
        found = configurations(files)
    except MissingExtra as error:
        loaded.notes.append(Note(str(root), f"{error}: Terraform configurations were left out"))
        return
    loaded.files += len(files)
    base = root.resolve()
    for path, document in found.documents:
        resolved = path.resolve()
        loaded.add(document, str(resolved.relative_to(base)) if resolved.is_relative_to(base) else str(path))
    loaded.notes += found.notes


def load_file(path: Path, loaded: Loaded, *, source: str = "", wanted: bool = False) -> None:
    """Read one file into `loaded`. `wanted` says that the caller named it: a file without any object is then a note."""
    source = source or str(path)
    try:
        if not path.is_file():
            loaded.notes.append(Note(source, "not a regular file"))
            return
        if path.stat().st_size > MAX_FILE_BYTES:
            loaded.notes.append(Note(source, f"larger than {MAX_FILE_BYTES >> 30} GiB"))
            return
        data = path.read_bytes()
    except OSError as error:
        loaded.notes.append(Note(source, f"cannot be read: {error.strerror or error}"))
        return
    before = len(loaded.objects), len(loaded.notes)
    if path.suffix in HCL_SUFFIXES:
        load_terraform([path], loaded, root=path.parent)
    else:
        load_bytes(data, loaded, source, folder=path.parent.name)
        loaded.files += 1
    if wanted and (len(loaded.objects), len(loaded.notes)) == before:
        loaded.notes.append(Note(source, "holds no object of a kind that Seawall knows"))


def load_bytes(data: bytes, loaded: Loaded, source: str, *, folder: str = "") -> None:
    """Read one file's bytes, JSON or YAML by what they are and not by their name."""
    if data[:3] == b"\xef\xbb\xbf":
        data = data[3:]
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        try:
            data = data.decode("utf-16").encode()
        except UnicodeError:
            loaded.notes.append(Note(source, "not valid UTF-16"))
            return
    head = data.lstrip()[:1]
    if (
        head in {b"{", b"["}
        and not data.lstrip().startswith((b"{{", b"[["))
        and _load_json(data, loaded, source, folder)
    ):
        return
    empty = True
    for document in documents(data):
        empty = False
        where = f"{source}:{document.line}"
        if document.error:
            loaded.notes.append(Note(where, document.error))
            continue
        loaded.notes += [Note(where, f"duplicate key {key}: the last one counts") for key in document.duplicates[:20]]
        _add_named(document.value, loaded, where if document.line > 1 else source, source, folder)
    if empty and head == b"{":
        loaded.notes.append(Note(source, "not valid JSON"))


def _load_json(data: bytes, loaded: Loaded, source: str, folder: str) -> bool:
    """Read JSON; False when it is not (YAML's flow style looks alike)."""
    try:
        outline = (
            msgspec.json.decode(data, type=_ListDocument) if len(data) > _SMALL and data.lstrip()[:1] == b"{" else None
        )
    except (msgspec.DecodeError, RecursionError):
        outline = None
    if outline is not None and outline.items:
        inner = outline.kind.removesuffix("List") if outline.kind != "List" else ""
        for item in outline.items:
            value = msgspec.json.decode(item)
            if isinstance(value, dict) and inner and not value.get("kind"):
                value = {"apiVersion": outline.apiVersion, "kind": inner} | value
            loaded.add(value, source)
        return True
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _load_json_lines(data, loaded, source)
    except RecursionError:
        loaded.notes.append(Note(source, "nested too deeply"))
        return True
    if len(data) <= _SMALL:
        duplicates = _duplicates(data)
        loaded.notes += [Note(source, f"duplicate key {key}: the last one counts") for key in duplicates[:20]]
    _add_named(value, loaded, source, source, folder)
    return True


def _load_json_lines(data: bytes, loaded: Loaded, source: str) -> bool:
    """Read concatenated or line-wise JSON objects, as `kubectl get -o json` run twice into one file gives."""
    try:
        body = data.decode("utf-8")
    except UnicodeDecodeError:
        loaded.notes.append(Note(source, "not valid UTF-8"))
        return True
    decoder, position = json.JSONDecoder(), 0
    found: list[Any] = []
    while position < len(body):
        while position < len(body) and body[position].isspace():
            position += 1
        if position >= len(body):
            break
        try:
            value, position = decoder.raw_decode(body, position)
        except (ValueError, RecursionError):
            if not found:
                return False
            loaded.notes.append(Note(source, f"not valid JSON after {len(found)} documents (byte {position})"))
            break
        found.append(value)
    for value in found:
        loaded.add(value, source)
    return bool(found)


def _add_named(value: object, loaded: Loaded, where: str, source: str, folder: str) -> None:
    """Add a document whose kind may stand only in its file's name (dumps of Sonobuoy and others)."""
    name = Path(source.split(":", 1)[0]).name.removesuffix(".json")
    if isinstance(value, list) and (match := _SONOBUOY.match(name)):
        loaded.add(value, where, assumed_kind=_RESOURCES.get(match[2], ""))
    elif (
        isinstance(value, dict)
        and isinstance(value.get("metadata"), dict)
        and not value.get("kind")
        and (kind := _kind_of_path(source))
    ):
        loaded.add(value, where, assumed_kind=kind)
    elif isinstance(value, dict) and set(value) == {"kubeletconfig"}:
        body = mapping(value["kubeletconfig"])
        loaded.add(
            {
                "kind": "KubeletConfiguration",
                "apiVersion": "kubelet.config.k8s.io/v1beta1",
                **body,
                "metadata": {"name": folder},
            },
            where,
        )
    elif isinstance(value, dict) and "gitVersion" in value and "kind" not in value:
        loaded.add({"kind": "ServerVersion", "apiVersion": "version", **value}, where)
    elif isinstance(value, dict) and "serverVersion" in value and "kind" not in value:
        loaded.add({"kind": "ServerVersion", "apiVersion": "version", **mapping(value["serverVersion"])}, where)
    else:
        loaded.add(value, where)


def _kind_of_path(source: str) -> str:
    """Archives of must-gather and the insights operator keep objects without kind in a folder of that name."""
    for part in reversed(Path(source.split(":", 1)[0]).parts[:-1]):
        name = part.lower()
        found = _RESOURCES.get(name) or _RESOURCES.get(f"{name}s")
        if found:
            return found
    return ""


def _duplicates(data: bytes) -> list[str]:
    found: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> None:
        keys: set[str] = set()
        for key, _ in items:
            if key in keys:
                found.append(key)
            keys.add(key)

    try:
        json.loads(data, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        return []
    return found


def prune(body: dict[str, Any]) -> dict[str, Any]:
    """Return an object without what no control reads: field ownership, the last applied copy, values of Secrets."""
    meta = body.get("metadata")
    if isinstance(meta, dict) and ("managedFields" in meta or "annotations" in meta):
        meta = {key: value for key, value in meta.items() if key != "managedFields"}
        notes = meta.get("annotations")
        if isinstance(notes, dict) and "kubectl.kubernetes.io/last-applied-configuration" in notes:
            meta["annotations"] = {
                key: value for key, value in notes.items() if key != "kubectl.kubernetes.io/last-applied-configuration"
            }
        body = {**body, "metadata": meta}
    if body.get("kind") == "Secret":
        hidden: dict[str, Any] = {
            key: dict.fromkeys(body[key]) if isinstance(body.get(key), dict) else body.get(key)
            for key in ("data", "stringData")
            if key in body
        }
        body = {**body, **hidden}
    elif body.get("kind") == "CustomResourceDefinition":
        body = {key: value for key, value in body.items() if key != "spec"} | {
            "spec": {
                key: value for key, value in mapping(body.get("spec")).items() if key not in {"versions", "validation"}
            }
        }
    return body


def require_objects(loaded: Loaded, target: str) -> None:
    """Raise when nothing at all could be read.

    Raises:
        InputError: there is no object, with the first reason.
    """
    if not loaded.objects:
        reason = f": {loaded.notes[0].where}: {loaded.notes[0].reason}" if loaded.notes else ""
        raise InputError(
            f"no object found in {target}{reason}",
            hint="give manifests, a `kubectl get -A -o json` dump, a Terraform plan as JSON, or a cloud API answer",
        )


_RESOURCES: Final = {
    "configmaps": "ConfigMap", "controllerrevisions": "ControllerRevision", "cronjobs": "CronJob",
    "daemonsets": "DaemonSet", "deployments": "Deployment", "endpoints": "Endpoints", "events": "Event",
    "ingresses": "Ingress", "jobs": "Job", "leases": "Lease", "limitranges": "LimitRange", "namespaces": "Namespace",
    "networkpolicies": "NetworkPolicy", "nodes": "Node", "persistentvolumeclaims": "PersistentVolumeClaim",
    "persistentvolumes": "PersistentVolume", "pods": "Pod", "replicasets": "ReplicaSet",
    "replicationcontrollers": "ReplicationController", "resourcequotas": "ResourceQuota", "rolebindings": "RoleBinding",
    "roles": "Role", "clusterroles": "ClusterRole", "clusterrolebindings": "ClusterRoleBinding", "secrets": "Secret",
    "serviceaccounts": "ServiceAccount", "services": "Service", "statefulsets": "StatefulSet",
    "validatingwebhookconfigurations": "ValidatingWebhookConfiguration", "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
    "securitycontextconstraints": "SecurityContextConstraints",
    "storageclasses": "StorageClass", "podtemplates": "PodTemplate", "poddisruptionbudgets": "PodDisruptionBudget",
}  # fmt: skip
