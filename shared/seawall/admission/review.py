"""AdmissionReview v1: what an API server asks and how it is answered.

Source: Kubernetes, "Dynamic Admission Control" and k8s.io/api/admission/v1. Only the fields that the question needs are
decoded, and only of kinds that carry a pod's spec; what other kinds make, the pods, is asked about by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from seawall.domain.errors import MalformedEvent

KINDS = {
    "": ("Pod", "ReplicationController", "PodTemplate"),
    "apps": ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"),
    "batch": ("Job", "CronJob"),
}
API_VERSION = "admission.k8s.io/v1"
MAX_IMAGES = 1000
WARNING_CHARACTERS, WARNINGS_CHARACTERS = 250, 4000
"""The API server cuts a warning at 256 characters and all of them at 4,096."""
MESSAGE_CHARACTERS = 4000


class _Container(msgspec.Struct):
    image: str | None = ""


class _ImageVolume(msgspec.Struct):
    reference: str | None = ""


class _Volume(msgspec.Struct):
    image: _ImageVolume | None = None


class _Spec(msgspec.Struct):
    """A pod's spec, a workload's, or a cron job's: their fields do not collide."""

    containers: list[_Container] | None = None
    initContainers: list[_Container] | None = None  # noqa: N815 - Kubernetes' names
    ephemeralContainers: list[_Container] | None = None  # noqa: N815
    volumes: list[_Volume] | None = None
    template: _Template | None = None
    jobTemplate: _Template | None = None  # noqa: N815


class _Template(msgspec.Struct):
    spec: _Spec | None = None
    template: _Template | None = None


class _Metadata(msgspec.Struct):
    name: str | None = ""
    generateName: str | None = ""  # noqa: N815


class _Object(msgspec.Struct):
    metadata: _Metadata | None = None
    spec: _Spec | None = None
    template: _Template | None = None
    """A PodTemplate has it at its root."""


class _User(msgspec.Struct):
    username: str | None = ""


class _Kind(msgspec.Struct):
    group: str | None = ""
    kind: str | None = ""


class _Request(msgspec.Struct):
    uid: str
    kind: _Kind | None = None
    operation: str = ""
    namespace: str | None = ""
    name: str | None = ""
    userInfo: _User | None = None  # noqa: N815
    object: msgspec.Raw = msgspec.Raw(b"null")
    oldObject: msgspec.Raw = msgspec.Raw(b"null")  # noqa: N815


class _Review(msgspec.Struct):
    apiVersion: str  # noqa: N815
    kind: str
    request: _Request | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """One question. `images` are the references that the request brings in, as written, each once.

    An update asks only about images that the object did not have before: what runs already is not stopped by an edit of a label.
    """

    uid: str
    namespace: str
    user: str
    what: str
    """Kind and name, for messages."""
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The decision. `reasons` say why not, `warnings` what `kubectl` shows to the caller."""

    allowed: bool
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unknown: bool = False
    """At least one image could not be judged, and the deployment's choice for that case decided."""


_DECODER = msgspec.json.Decoder(_Review)
_OBJECT = msgspec.json.Decoder(_Object | None)


def read(body: bytes) -> Review:
    """Return the question in `body`.

    Raises:
        MalformedEvent: not an AdmissionReview of v1, or one with an absurd number of images.
    """
    try:
        review = _DECODER.decode(body)
        request = review.request
        if review.kind != "AdmissionReview" or review.apiVersion != API_VERSION or request is None or not request.uid:
            raise MalformedEvent(f"not an AdmissionReview request of {API_VERSION}", where="/kind")
        kind = request.kind or _Kind()
        known = kind.kind in KINDS.get(kind.group or "", ())
        present = _OBJECT.decode(request.object) if known and request.operation in ("CREATE", "UPDATE") else None
        earlier = _OBJECT.decode(request.oldObject) if known and request.operation == "UPDATE" else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedEvent(f"not an AdmissionReview: {error}") from error
    before = set(_images(earlier))
    images = tuple(image for image in dict.fromkeys(_images(present)) if image not in before)
    if len(images) > MAX_IMAGES:
        raise MalformedEvent(f"{len(images)} images in one object, at most {MAX_IMAGES} are looked at")
    meta = present.metadata if present else None
    name = request.name or (meta and (meta.name or meta.generateName)) or ""
    return Review(
        uid=request.uid,
        namespace=request.namespace or "",
        user=(request.userInfo.username if request.userInfo else "") or "",
        what=f"{kind.kind or 'object'} {name}".strip(),
        images=images,
    )


def write(uid: str, answer: Answer) -> bytes:
    """Return the AdmissionReview that answers the question `uid`."""
    response: dict[str, object] = {"uid": uid, "allowed": answer.allowed}
    if not answer.allowed:
        message = "; ".join(answer.reasons)[:MESSAGE_CHARACTERS]
        response["status"] = {"code": 403, "reason": "Forbidden", "message": message}
    if answer.warnings:
        response["warnings"] = list(_fitting(answer.warnings))
    verdict = "unknown" if answer.unknown else "fulfilled" if answer.allowed and not answer.warnings else "broken"
    response["auditAnnotations"] = {"policy": verdict}
    return msgspec.json.encode({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response})


def _fitting(warnings: Sequence[str]) -> Iterator[str]:
    room = WARNINGS_CHARACTERS
    for warning in warnings:
        text = warning if len(warning) <= WARNING_CHARACTERS else warning[: WARNING_CHARACTERS - 1] + "…"
        room -= len(text)
        if room < 0:
            return
        yield text


def _images(item: _Object | None) -> Iterator[str]:
    if item is not None:
        yield from _of_spec(item.spec)
        yield from _of_template(item.template)


def _of_template(template: _Template | None) -> Iterator[str]:
    if template is not None:
        yield from _of_spec(template.spec)
        yield from _of_template(template.template)


def _of_spec(spec: _Spec | None) -> Iterator[str]:
    if spec is None:
        return
    for group in (spec.initContainers, spec.containers, spec.ephemeralContainers):
        yield from (container.image for container in group or () if container.image)
    yield from (volume.image.reference for volume in spec.volumes or () if volume.image and volume.image.reference)
    yield from _of_template(spec.template)
    yield from _of_template(spec.jobTemplate)
