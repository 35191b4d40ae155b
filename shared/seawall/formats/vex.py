"""VEX documents in: OpenVEX and CycloneDX, told apart by their content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from seawall.domain.errors import InputError
from seawall.vulnerability.exceptions import Exceptions, Statement, VexStatus

MAX_BYTES = 256 << 20
_CYCLONEDX_STATES = {
    "not_affected": VexStatus.NOT_AFFECTED,
    "false_positive": VexStatus.NOT_AFFECTED,
    "resolved": VexStatus.FIXED,
    "resolved_with_pedigree": VexStatus.FIXED,
    "exploitable": VexStatus.AFFECTED,
    "in_triage": VexStatus.UNDER_INVESTIGATION,
}


def read(raw: bytes | str, name: str = "the VEX document") -> Exceptions:
    """Return the statements of an OpenVEX or CycloneDX document; also one wrapped in an in-toto statement.

    Raises:
        InputError: neither, with what was found instead.
    """
    if len(raw) > MAX_BYTES:
        raise InputError(f"{name} has over {MAX_BYTES} bytes")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON: {error}") from error
    if isinstance(document, dict) and isinstance(document.get("predicate"), dict):
        document = document["predicate"]
    if not isinstance(document, dict):
        raise InputError(f"{name} is not a VEX document")
    if document.get("bomFormat") == "CycloneDX":
        return Exceptions(statements=tuple(_cyclonedx(document)))
    if "openvex" in str(document.get("@context", "")):
        return Exceptions(statements=tuple(_openvex(document)))
    raise InputError(f"{name} is neither OpenVEX nor CycloneDX", hint="'@context': 'https://openvex.dev/ns/v0.2.0'")


def _openvex(document: dict[str, Any]) -> Iterator[Statement]:
    """Source: OpenVEX specification 0.2.0; statements inherit what the document says."""
    author = str(document.get("author") or "")
    for item in _dicts(document.get("statements")):
        status = str(item.get("status") or "")
        if status not in {word.value for word in VexStatus}:
            continue
        names = _vulnerability_names(item.get("vulnerability"))
        products: list[str] = []
        parts: list[str] = []
        for product in item.get("products") or ():
            products += _identifiers(product)
            if isinstance(product, dict):
                for part in product.get("subcomponents") or ():
                    parts += _identifiers(part)
        # Version 0.0.x had subcomponents beside the products.
        for part in item.get("subcomponents") or ():
            parts += _identifiers(part)
        yield Statement(
            vulnerabilities=frozenset(names),
            status=VexStatus(status),
            products=tuple(products),
            subcomponents=tuple(parts),
            justification=str(item.get("justification") or ""),
            detail=str(item.get("impact_statement") or item.get("action_statement") or item.get("status_notes") or ""),
            author=author,
            timestamp=str(item.get("timestamp") or document.get("timestamp") or ""),
        )


def _vulnerability_names(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name in (value.get("name"), str(value.get("@id") or "").rpartition("/")[2], *(value.get("aliases") or ())):
            if isinstance(name, str) and name:
                yield name


def _identifiers(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        named = value.get("identifiers")
        for name in (value.get("@id"), named.get("purl") if isinstance(named, dict) else None):
            if isinstance(name, str) and name:
                yield name


def _cyclonedx(document: dict[str, Any]) -> Iterator[Statement]:
    """Source: CycloneDX 1.6, `vulnerabilities[].analysis` and `affects[].ref`."""
    purls = dict(_component_purls(document))
    metadata = document.get("metadata") if isinstance(document.get("metadata"), dict) else {}
    author = next((str(item.get("name")) for item in _dicts((metadata or {}).get("authors"))), "")
    written = str((metadata or {}).get("timestamp") or "")
    for item in _dicts(document.get("vulnerabilities")):
        analysis = item.get("analysis")
        state = _CYCLONEDX_STATES.get(str(analysis.get("state"))) if isinstance(analysis, dict) else None
        if state is None or not isinstance(analysis, dict):
            continue
        names = {str(item.get("id") or "")} | {str(other.get("id") or "") for other in _dicts(item.get("references"))}
        references = [str(affected.get("ref") or "") for affected in _dicts(item.get("affects"))]
        # A reference that is no component here is a purl itself, or a BOM-Link whose fragment is one.
        products = [purls.get(ref) or (ref if ref.startswith("pkg:") else ref.partition("#")[2]) for ref in references]
        yield Statement(
            vulnerabilities=frozenset(names - {""}),
            status=state,
            products=tuple(product for product in products if product),
            justification=str(analysis.get("justification") or ""),
            detail=str(analysis.get("detail") or ""),
            author=author,
            timestamp=str(item.get("updated") or analysis.get("lastUpdated") or written),
        )


def _component_purls(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    metadata = document.get("metadata")
    waiting = _dicts(document.get("components"))
    if isinstance(metadata, dict) and isinstance(metadata.get("component"), dict):
        waiting.append(metadata["component"])
    while waiting:
        component = waiting.pop()
        if component.get("bom-ref") and component.get("purl"):
            yield str(component["bom-ref"]), str(component["purl"])
        waiting += _dicts(component.get("components"))


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
