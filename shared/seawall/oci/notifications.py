"""Push notifications of registries: bytes in, `ImagePushed` values out.

An event is a hint; delivery is at least once, unordered, sometimes best effort. Blob pushes, signature and referrer tags
are dropped. Authentication is the door's business, except for JFrog's signed bodies (`jfrog_signature_holds`).

Sources: Azure Container Registry webhook reference and Event Grid schema, Amazon ECR EventBridge guide, Artifact Registry
Pub/Sub notifications, distribution notifications.md, Harbor configure-webhooks.md, JFrog and Docker Hub webhook pages.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from seawall.domain.errors import MalformedEvent
from seawall.domain.images import ImagePushed

MAX_EVENTS = 1000
"""Events in one notification; registries send one to a few."""
MANIFESTS = frozenset(
    {
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
_ATTACHED = re.compile(r"^sha256-[0-9a-f]{64}(\.(sig|att|sbom))?$")
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class Notification:
    """What a notification says. `answer` is what the sender waits for instead of an acknowledgement (Event Grid's handshake)."""

    pushes: tuple[ImagePushed, ...] = ()
    answer: dict[str, str] | None = None


class _Foreign(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


def _text(value: Any) -> Any:
    return "" if value is None else value


Text = Annotated[str, BeforeValidator(_text)]
"""A text that senders leave out or set to null."""


class _Target(_Foreign):
    repository: str = Field(min_length=1, max_length=1024)
    digest: Text = ""
    tag: Text = ""
    media_type: Text = Field("", alias="mediaType")
    url: Text = ""


class _Request(_Foreign):
    host: Text = ""


class _Actor(_Foreign):
    name: Text = ""


class _DistributionEvent(_Foreign):
    id: Text = ""
    timestamp: datetime | None = None
    action: str
    target: _Target | None = None
    request: _Request = _Request()
    actor: _Actor = _Actor()


class _DistributionEnvelope(_Foreign):
    events: list[Any] = Field(max_length=MAX_EVENTS)


class _GridEvent(_Foreign):
    id: Text = ""
    type: Text = ""
    event_type: Text = Field("", alias="eventType")
    data: dict[str, Any] = {}


class _EcrDetail(_Foreign):
    result: Text = ""
    repository: str = Field(alias="repository-name", min_length=1)
    digest: Text = Field("", alias="image-digest")
    action: Text = Field("", alias="action-type")
    tag: Text = Field("", alias="image-tag")


class _EcrEvent(_Foreign):
    id: Text = ""
    detail_type: str = Field(alias="detail-type")
    account: str = Field(pattern=r"^\d{12}$")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    time: datetime | None = None
    detail: dict[str, Any]


class _PubSubMessage(_Foreign):
    data: Text = ""
    message_id: Text = Field("", alias="messageId")
    publish_time: datetime | None = Field(None, alias="publishTime")


class _GarData(_Foreign):
    action: str
    digest: Text = ""
    tag: Text = ""


class _HarborResource(_Foreign):
    digest: Text = ""
    tag: Text = ""
    resource_url: Text = ""


class _HarborRepository(_Foreign):
    full_name: str = Field(alias="repo_full_name", min_length=1)


class _HarborData(_Foreign):
    resources: list[_HarborResource] = Field(max_length=MAX_EVENTS)
    repository: _HarborRepository


class _HarborEvent(_Foreign):
    type: str
    occur_at: int = 0
    operator: Text = ""
    event_data: _HarborData | None = None


class _JFrogData(_Foreign):
    repo_key: str = Field(min_length=1)
    name: Text = ""
    sha256: Text = ""
    image_name: str = Field(min_length=1)
    tag: Text = ""


class _JFrogEvent(_Foreign):
    domain: str
    event_type: str
    data: _JFrogData | None = None


class _HubPush(_Foreign):
    pushed_at: float = 0
    pusher: Text = ""
    tag: Text = ""


class _HubRepository(_Foreign):
    repo_name: str = Field(min_length=1)


class _HubEvent(_Foreign):
    push_data: _HubPush
    repository: _HubRepository


M = TypeVar("M", bound=BaseModel)


def parse_notification(kind: str, headers: Mapping[str, str], body: bytes) -> Notification:
    """Return the pushes in a notification of `kind`: acr, eventgrid, ecr, gar, distribution, harbor, jfrog or dockerhub.

    Args:
        headers: of the HTTP request, any case; JFrog and proxies say the registry's host there.

    Raises:
        MalformedEvent: an unknown kind, not JSON, or not of the form that the registry promises; `where` points at it.
    """
    reader = _READERS.get(kind)
    if reader is None:
        raise MalformedEvent(f"no registry sends {kind!r}", hint=f"known: {', '.join(sorted(_READERS))}", where="path")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        where = f"byte {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise MalformedEvent("the body is not JSON", where=where) from error
    lowered = {name.lower(): value for name, value in headers.items()}
    if kind == "eventgrid" and (answer := _handshake(document, lowered)) is not None:
        return Notification(answer=answer)
    pushes = dict.fromkeys(push for push in reader(document, lowered) if not _ATTACHED.match(push.tag))
    return Notification(tuple(pushes))


def is_artifact_tag(tag: str) -> bool:
    """Whether `tag` is one that signing tools and the referrers fallback write, not an image's."""
    return _ATTACHED.match(tag) is not None


def jfrog_signature_holds(secret: str, shown: str, body: bytes) -> bool:
    """Whether `shown` (`X-JFrog-Event-Auth`) is the secret, or the hex HMAC-SHA256 of the body under it."""
    signed = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    as_secret = hmac.compare_digest(shown.encode(), secret.encode())
    return hmac.compare_digest(shown.lower().encode(), signed.encode()) or as_secret


def _read(model: type[M], document: Any, where: str = "") -> M:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = "/".join([where, *(str(part) for part in problem["loc"])])
        raise MalformedEvent(f"not the registry's form: {problem['msg']}", where=place or "/") from error


def _digest(value: str, where: str) -> str:
    if value and not _DIGEST.match(value):
        raise MalformedEvent("not a sha256 digest", where=where)
    return value


def _distribution_event(document: Any, where: str) -> Iterator[ImagePushed]:
    event = _read(_DistributionEvent, document, where)
    if event.action != "push" or event.target is None:
        return
    if event.target.media_type and event.target.media_type not in MANIFESTS:
        return  # blobs notify too
    host = event.request.host or event.target.url.partition("://")[2].partition("/")[0]
    if not host:
        raise MalformedEvent("the event does not say which registry", where=f"{where}/request/host")
    yield ImagePushed(
        host,
        event.target.repository,
        _digest(event.target.digest, f"{where}/target/digest"),
        event.target.tag,
        event.target.media_type,
        event.actor.name,
        event.timestamp,
        event.id,
    )


def _distribution(document: Any, _headers: Mapping[str, str]) -> Iterator[ImagePushed]:
    envelope = _read(_DistributionEnvelope, document)
    for index, event in enumerate(envelope.events):
        yield from _distribution_event(event, f"/events/{index}")


def _acr(document: Any, _headers: Mapping[str, str]) -> Iterator[ImagePushed]:
    yield from _distribution_event(document, "")


def _eventgrid(document: Any, _headers: Mapping[str, str]) -> Iterator[ImagePushed]:
    events = document if isinstance(document, list) else [document]
    if len(events) > MAX_EVENTS:
        raise MalformedEvent(f"{len(events)} events, at most {MAX_EVENTS} are taken", where="/")
    for index, raw in enumerate(events):
        event = _read(_GridEvent, raw, f"/{index}")
        if (event.event_type or event.type) == "Microsoft.ContainerRegistry.ImagePushed":
            yield from _distribution_event({"id": event.id, **event.data}, f"/{index}/data")


def _handshake(document: Any, headers: Mapping[str, str]) -> dict[str, str] | None:
    if headers.get("aeg-event-type", "").lower() != "subscriptionvalidation":
        return None
    events = document if isinstance(document, list) else [document]
    if len(events) != 1 or not isinstance(events[0], dict):
        raise MalformedEvent("a subscription validation has exactly one event", where="/")
    data = events[0].get("data")
    code = data.get("validationCode") if isinstance(data, dict) else None
    if not isinstance(code, str) or not code or len(code) > 512:
        raise MalformedEvent("no validation code", where="/0/data/validationCode")
    return {"validationResponse": code}


def _ecr(document: Any, _headers: Mapping[str, str]) -> Iterator[ImagePushed]:
    event = _read(_EcrEvent, document)
    if event.detail_type != "ECR Image Action":
        return
    detail = _read(_EcrDetail, event.detail, "/detail")
    if detail.action != "PUSH" or detail.result != "SUCCESS":
        return
    suffix = "amazonaws.com.cn" if event.region.startswith("cn-") else "amazonaws.com"
    host = f"{event.account}.dkr.ecr.{event.region}.{suffix}"
    digest = _digest(detail.digest, "/detail/image-digest")
    yield ImagePushed(host, detail.repository, digest, detail.tag, time=event.time, source_event_id=event.id)


def _gar(document: Any, _headers: Mapping[str, str]) -> Iterator[ImagePushed]:
    message = _PubSubMessage.model_validate({})
    if isinstance(document, dict) and "message" in document:
        message = _read(_PubSubMessage, document["message"], "/message")
        try:
            document = json.loads(base64.b64decode(message.data, validate=True))
        except (binascii.Error, ValueError) as error:
            raise MalformedEvent("message.data is not base64 of JSON", where="/message/data") from error
    event = _read(_GarData, document)
    if event.action != "INSERT" or not (event.digest or event.tag):
        return
    host, repository, _, digest = _split(event.digest or event.tag)
    tag = _split(event.tag)[2] if event.tag else ""
    source = message.message_id
    yield ImagePushed(
        host, repository, _digest(digest, "/digest"), tag, time=message.publish_time, source_event_id=source
    )


def _split(reference: str) -> tuple[str, str, str, str]:
    """(host, repository, tag, digest) of a full reference."""
    name, _, digest = reference.partition("@")
    host, slash, path = name.partition("/")
    if not slash or not path:
        raise MalformedEvent("not a full image reference", where="/digest")
    head, colon, tag = path.rpartition(":")
    return (host, head, tag, digest) if colon and "/" not in tag else (host, path, "", digest)


def _harbor(document: Any, _headers: Mapping[str, str]) -> Iterator[ImagePushed]:
    event = _read(_HarborEvent, document)
    if event.type != "PUSH_ARTIFACT" or event.event_data is None:
        return
    moment = datetime.fromtimestamp(event.occur_at, UTC) if 0 < event.occur_at < 1 << 34 else None
    for index, resource in enumerate(event.event_data.resources):
        host = resource.resource_url.partition("/")[0]
        if not host:
            raise MalformedEvent(
                "resource_url does not name the registry", where=f"/event_data/resources/{index}/resource_url"
            )
        tag = "" if resource.tag.startswith("sha256:") else resource.tag
        digest = _digest(resource.digest, f"/event_data/resources/{index}/digest")
        name = event.event_data.repository.full_name
        yield ImagePushed(
            host, name, digest, tag, actor=event.operator, time=moment, source_event_id=f"{event.occur_at}"
        )


def _jfrog(document: Any, headers: Mapping[str, str]) -> Iterator[ImagePushed]:
    event = _read(_JFrogEvent, document)
    if event.domain != "docker" or event.event_type != "pushed" or event.data is None:
        return
    if event.data.name and event.data.name not in ("manifest.json", "list.manifest.json"):
        return
    host = (
        headers.get("x-jfrog-registry")
        or headers.get("origin", "").partition("://")[2]
        or headers.get("x-forwarded-host", "")
    )
    if not host:
        raise MalformedEvent(
            "JFrog does not say which registry", hint="add the header X-JFrog-Registry to the webhook", where="headers"
        )
    digest = _digest(f"sha256:{event.data.sha256}" if event.data.sha256 else "", "/data/sha256")
    yield ImagePushed(host, f"{event.data.repo_key}/{event.data.image_name}", digest, event.data.tag)


def _dockerhub(document: Any, _headers: Mapping[str, str]) -> Iterator[ImagePushed]:
    event = _read(_HubEvent, document)
    moment = event.push_data.pushed_at
    when = datetime.fromtimestamp(moment, UTC) if 0 < moment < 1 << 34 else None
    source = f"{moment:.0f}"
    yield ImagePushed(
        "docker.io",
        event.repository.repo_name,
        "",
        event.push_data.tag or "latest",
        "",
        event.push_data.pusher,
        when,
        source,
    )


_READERS: dict[str, Callable[[Any, Mapping[str, str]], Iterator[ImagePushed]]] = {
    "acr": _acr,
    "eventgrid": _eventgrid,
    "ecr": _ecr,
    "gar": _gar,
    "distribution": _distribution,
    "harbor": _harbor,
    "jfrog": _jfrog,
    "dockerhub": _dockerhub,
}
