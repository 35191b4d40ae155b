"""Azure APIs that publishing needs, as one TLS stub that keeps to the documented limits.

    with AzureApi(streams={"Custom-SeawallIncident_CL": {"TimeGenerated", "IncidentKey", "Seq", "Title"}}) as api:
        os.environ |= api.managed_identity()              # for ManagedIdentityCredential, or use api.credential()
        client = LogsIngestionClient(api.url, credential, connection_verify=api.ca_file)

What is kept to:
- managed identity (plain HTTP, as App Service has it): `X-IDENTITY-HEADER`; tokens are bound to the audience asked for.
- Logs Ingestion: audience; known rule and stream (404); 1 MB compressed and uncompressed (413); 12,000 requests and
  2 GB a minute (429 + Retry-After); a JSON array of objects (400); fields cut at 32 KB; columns that the stream does
  not declare are dropped (unverified); 204.
- Analytics rule, `api.run_rule(...)`: de-duplicates within its window only, 30 alerts a run, the 30th rolls up the
  rest. Correlation is simplified: alerts with the same key join an open incident, closed ones are not re-opened.
- Graph security incidents and alerts_v2: list ($filter on lastUpdateDateTime and status, $expand=alerts, $top,
  nextLink), get, PATCH of what can be changed, comments; no creation (405); 150 requests a minute (429).
- ARM Sentinel incidents: PUT is idempotent by name (201, then 200), required fields and enums (400), stale etag (409,
  code unverified), get, list, delete; they never appear in Graph.
- Threat intelligence upload: 100 objects a request (400), 100 requests a minute (429).

`api.fail_next("ingest", 503, retry_after=1)` makes the next call of an API fail; `api.requests` records every call;
`Limits(...)` lowers limits so that a test meets them quickly. "1 MB" is taken as 1,048,576 bytes; whether the service
cuts exactly there is unverified.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import re
import secrets
import ssl
import tempfile
import threading
import time
import uuid
import zlib
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.support.certificates import write_certificate

Json = Any

AUDIENCES = {  # API -> what a token must have been issued for
    "ingest": "https://monitor.azure.com",
    "graph": "https://graph.microsoft.com",
    "arm": "https://management.azure.com",
    "ti": "https://management.azure.com",
}


@dataclass(frozen=True)
class Limits:
    ingest_body_bytes: int = 1_048_576
    ingest_requests_per_min: int = 12_000
    ingest_bytes_per_min: int = 2_000_000_000
    field_bytes: int = 32 * 1024
    graph_requests_per_min: int = 150
    ti_requests_per_min: int = 100
    ti_objects: int = 100
    alerts_per_run: int = 30


class Call(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes  # decompressed
    wire_bytes: int


class Reply(Exception):
    """An answer; raised from anywhere in a handler, returned at the edge."""

    def __init__(self, status: int, body: Json = None, **headers: str) -> None:
        self.status, self.body, self.headers = status, body, headers

    @classmethod
    def error(cls, status: int, code: str, message: str, **headers: str) -> Reply:
        return cls(status, {"error": {"code": code, "message": message}}, **headers)


def now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class AzureApi:
    def __init__(
        self,
        streams: dict[str, set[str]] | None = None,
        *,
        rule: str = "dcr-00000000000000000000000000000000",
        limits: Limits = Limits(),
    ) -> None:
        self.streams, self.rule, self.limits = streams or {}, rule, limits
        self.tables: dict[str, list[dict[str, Json]]] = defaultdict(list)  # stream -> rows as they were stored
        self.incidents: dict[str, dict[str, Json]] = {}  # Graph
        self.alerts: dict[str, dict[str, Json]] = {}
        self.sentinel_incidents: dict[str, dict[str, Json]] = {}  # ARM
        self.stix: list[Json] = []
        self.requests: list[Call] = []
        self._failures: dict[str, deque[Reply]] = defaultdict(deque)
        self._spent: dict[str, deque[tuple[float, int]]] = defaultdict(deque)
        self._tokens: dict[str, str] = {}  # token -> audience
        self._read_to: dict[tuple[str, str], int] = {}  # (rule, stream) -> rows seen
        self._identity_header = secrets.token_hex(8)
        self._lock = threading.RLock()
        self._routes: list[tuple[str, str, str, Callable[..., Reply]]] = [
            ("ingest", "POST", r"/dataCollectionRules/([^/]+)/streams/([^/]+)", self._ingest),
            ("graph", "GET", r"/v1\.0/security/(incidents|alerts_v2)", self._graph_list),
            ("graph", "GET", r"/v1\.0/security/(incidents|alerts_v2)/([^/]+)", self._graph_get),
            ("graph", "PATCH", r"/v1\.0/security/(incidents|alerts_v2)/([^/]+)", self._graph_patch),
            ("graph", "POST", r"/v1\.0/security/(incidents|alerts_v2)/([^/]+)/comments", self._graph_comment),
            ("arm", "GET", r"(/subscriptions/.+/providers/Microsoft\.SecurityInsights/incidents)", self._arm_list),
            ("arm", "PUT", r"/subscriptions/.+/providers/Microsoft\.SecurityInsights/incidents/([^/]+)", self._arm_put),
            ("arm", "GET", r"/subscriptions/.+/providers/Microsoft\.SecurityInsights/incidents/([^/]+)", self._arm_get),
            (
                "arm",
                "DELETE",
                r"/subscriptions/.+/providers/Microsoft\.SecurityInsights/incidents/([^/]+)",
                self._arm_delete,
            ),
            ("ti", "POST", r"/workspaces/([^/]+)/threat-intelligence-stix-objects:upload", self._ti_upload),
        ]

    def managed_identity(self) -> dict[str, str]:
        """Return the environment that makes ManagedIdentityCredential ask this stub."""
        return {
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{self._plain.server_address[1]}/msi/token",
            "IDENTITY_HEADER": self._identity_header,
        }

    def token(self, audience: str) -> str:
        token = secrets.token_hex(16)
        self._tokens[token] = audience.removesuffix("/.default").rstrip("/")
        return token

    def credential(self, *, asynchronous: bool = False) -> Any:
        """Return a TokenCredential (azure-core) that this stub trusts."""
        from azure.core.credentials import AccessToken

        class Credential:
            def get_token(_, scope: str, **__: Any) -> AccessToken:
                return AccessToken(self.token(scope), int(time.time()) + 3600)

        class AsyncCredential:
            async def get_token(_, scope: str, **__: Any) -> AccessToken:
                return AccessToken(self.token(scope), int(time.time()) + 3600)

            async def close(_) -> None: ...

        return AsyncCredential() if asynchronous else Credential()

    def fail_next(self, api: str, status: int, *, times: int = 1, retry_after: int | None = None) -> None:
        headers = {} if retry_after is None else {"Retry_After": str(retry_after)}
        self._failures[api].extend(Reply.error(status, "Injected", "injected", **headers) for _ in range(times))

    def run_rule(
        self,
        stream: str,
        *,
        where: Callable[[dict[str, Json]], bool],
        key: tuple[str, ...] = ("IncidentKey", "Seq"),
        group: str = "IncidentKey",
        name: str = "seawall",
    ) -> list[dict[str, Json]]:
        """Play one run of an NRT rule with AlertPerResult and createIncident; return the new alerts.

        The rule sees rows ingested since its last run and de-duplicates within them, so a row sent twice across two
        runs alerts twice: a sender must write each (IncidentKey, Seq) once.
        """
        with self._lock:
            rows = self.tables[stream]
            window, self._read_to[name, stream] = rows[self._read_to.get((name, stream), 0) :], len(rows)
            latest: dict[Any, dict[str, Json]] = {}
            for row in window:
                if where(row):
                    latest[tuple(row.get(k) for k in key)] = row
            results, limit = list(latest.values()), self.limits.alerts_per_run
            if len(results) > limit:  # the last alert of a run stands for all the others
                rest = len(results) - limit + 1
                results = [*results[: limit - 1], {"Title": f"{rest} further results", "Severity": "Medium"}]
            return [self._alert(row, str(row.get(group) or uuid.uuid4())) for row in results]

    def _alert(self, row: dict[str, Json], group: str) -> dict[str, Json]:
        incident = next((i for i in self.incidents.values() if i["_group"] == group and i["status"] == "active"), None)
        if incident is None:
            number = str(len(self.incidents) + 1)
            incident = self.incidents[number] = {
                "id": number,
                "displayName": row.get("Title", ""),
                "severity": str(row.get("Severity", "medium")).lower(),
                "status": "active",
                "classification": "unknown",
                "determination": "unknown",
                "assignedTo": None,
                "customTags": [],
                "comments": [],
                "createdDateTime": now(),
                "lastUpdateDateTime": now(),
                "_group": group,
            }
        alert = {
            "id": str(uuid.uuid4()),
            "incidentId": incident["id"],
            "title": row.get("Title", ""),
            "severity": incident["severity"],
            "status": "new",
            "serviceSource": "microsoftSentinel",
            "detectionSource": "scheduledAlerts",
            "comments": [],
            "createdDateTime": now(),
            "lastUpdateDateTime": now(),
            "additionalData": {k: str(v) for k, v in row.items()},
        }
        incident["lastUpdateDateTime"] = now()
        self.alerts[alert["id"]] = alert
        return alert

    def handle(self, call: Call) -> Reply:
        """Return the answer to one call: route, token, injected failure, handler."""
        with self._lock:
            self.requests.append(call)
            matches = [
                (api, method, m, f)
                for api, method, pattern, f in self._routes
                if (m := re.fullmatch(pattern, call.path, re.IGNORECASE))
            ]
            if not matches:
                if re.fullmatch(r"/v1\.0/security/(incidents|alerts_v2)", call.path):
                    return Reply.error(405, "MethodNotAllowed", "not an operation of this API")
                return Reply.error(404, "NotFound", f"no route for {call.path}")
            chosen = next((m for m in matches if m[1] == call.method), None)
            if chosen is None:
                return Reply.error(405, "MethodNotAllowed", f"{call.method} is not an operation of this API")
            api, _, match, handler = chosen
            audience = self._tokens.get(call.headers.get("authorization", "").removeprefix("Bearer "))
            if audience != AUDIENCES[api]:
                return Reply.error(
                    401, "InvalidAuthenticationToken", f"token is for {audience}, not for {AUDIENCES[api]}"
                )
            if self._failures[api]:
                return self._failures[api].popleft()
            try:
                return handler(call, *match.groups())
            except Reply as reply:
                return reply

    def _spend(self, what: str, amount: int, limit: int) -> None:
        """Count against a limit per minute; over it, 429 with the seconds to wait."""
        spent, clock = self._spent[what], time.monotonic()
        while spent and spent[0][0] < clock - 60:
            spent.popleft()
        if sum(n for _, n in spent) + amount > limit:
            wait = 60 - (clock - spent[0][0]) if spent else 60
            raise Reply.error(429, "TooManyRequests", f"limit of {what} reached", Retry_After=str(max(1, round(wait))))
        spent.append((clock, amount))

    def _ingest(self, call: Call, rule: str, stream: str) -> Reply:
        limits = self.limits
        self._spend("ingest requests", 1, limits.ingest_requests_per_min)
        self._spend("ingest bytes", len(call.body), limits.ingest_bytes_per_min)
        if max(call.wire_bytes, len(call.body)) > limits.ingest_body_bytes:
            raise Reply.error(
                413, "ContentLengthLimitExceeded", f"{len(call.body)} bytes, limit {limits.ingest_body_bytes}"
            )
        if rule != self.rule or stream not in self.streams:
            raise Reply.error(404, "NotFound", f"no rule {rule!r} with stream {stream!r}")
        rows = _parse(call.body)
        if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
            raise Reply.error(400, "InvalidPayload", "the body must be a JSON array of objects")
        for row in rows:
            self.tables[stream].append({k: self._cut(v) for k, v in row.items() if k in self.streams[stream]})
        return Reply(204)

    def _cut(self, value: Json) -> Json:
        if isinstance(value, str) and len(value.encode()) > self.limits.field_bytes:
            return value.encode()[: self.limits.field_bytes].decode(errors="ignore")
        return value

    _CHANGEABLE: ClassVar[dict[str, set[str]]] = {
        "incidents": {
            "assignedTo",
            "classification",
            "customTags",
            "description",
            "determination",
            "displayName",
            "resolvingComment",
            "severity",
            "status",
            "summary",
        },
        "alerts_v2": {"assignedTo", "classification", "customDetails", "determination", "status"},
    }

    def _graph(self, kind: str) -> dict[str, dict[str, Json]]:
        self._spend("graph requests", 1, self.limits.graph_requests_per_min)
        return self.incidents if kind == "incidents" else self.alerts

    def _graph_one(self, kind: str, key: str) -> dict[str, Json]:
        found = self._graph(kind).get(key)
        if found is None:
            raise Reply.error(404, "ResourceNotFound", f"no {kind} {key!r}")
        return found

    def _shown(self, item: dict[str, Json], expand: str = "") -> dict[str, Json]:
        out = {k: v for k, v in item.items() if not k.startswith("_")}
        if "alerts" in expand:
            out["alerts"] = [a for a in self.alerts.values() if a["incidentId"] == item["id"]]
        return out

    def _graph_list(self, call: Call, kind: str) -> Reply:
        items = sorted(self._graph(kind).values(), key=lambda i: i["lastUpdateDateTime"])
        compare = {"eq": str.__eq__, "ge": str.__ge__, "gt": str.__gt__, "le": str.__le__, "lt": str.__lt__}
        for clause in filter(None, call.query.get("$filter", "").split(" and ")):
            m = re.fullmatch(
                r"\s*(lastUpdateDateTime|createdDateTime|status|severity) (eq|ge|gt|le|lt) '?([^']+)'?\s*", clause
            )
            if not m:
                raise Reply.error(400, "BadRequest", f"this stub does not know the filter {clause!r}")
            items = [i for i in items if compare[m[2]](_comparable(i[m[1]]), _comparable(m[3]))]
        skip, top = int(call.query.get("$skip", 0)), int(call.query.get("$top", 50))
        page = {"value": [self._shown(i, call.query.get("$expand", "")) for i in items[skip : skip + top]]}
        if skip + top < len(items):
            rest = {**call.query, "$skip": str(skip + top)}
            page["@odata.nextLink"] = f"{self.url}{call.path}?" + "&".join(f"{k}={v}" for k, v in rest.items())
        return Reply(200, page)

    def _graph_get(self, call: Call, kind: str, key: str) -> Reply:
        return Reply(200, self._shown(self._graph_one(kind, key), call.query.get("$expand", "")))

    def _graph_patch(self, call: Call, kind: str, key: str) -> Reply:
        item = self._graph_one(kind, key)
        change = {k: v for k, v in _object(call.body).items() if not k.startswith("@")}
        unknown = change.keys() - self._CHANGEABLE[kind]
        if unknown:
            raise Reply.error(400, "BadRequest", f"cannot be changed: {sorted(unknown)}")
        item.update(change, lastUpdateDateTime=now())
        return Reply(200, self._shown(item))

    def _graph_comment(self, call: Call, kind: str, key: str) -> Reply:
        item, text = self._graph_one(kind, key), str(_object(call.body).get("comment", ""))
        if not text or len(text) > 30_000 or len(item["comments"]) >= 100:
            raise Reply.error(400, "BadRequest", "a comment has 1 to 30,000 characters, an incident at most 100")
        item["comments"].append({"comment": text, "createdDateTime": now()})
        item["lastUpdateDateTime"] = now()
        return Reply(200, {"value": item["comments"]})

    def _arm_list(self, call: Call, path: str) -> Reply:
        return Reply(200, {"value": list(self.sentinel_incidents.values())})

    def _arm_put(self, call: Call, name: str) -> Reply:
        if "api-version" not in call.query:
            raise Reply.error(400, "MissingApiVersionParameter", "the api-version query parameter is required")
        body, old = _object(call.body), self.sentinel_incidents.get(name)
        properties = body.get("properties") or {}
        allowed = {"severity": {"High", "Medium", "Low", "Informational"}, "status": {"New", "Active", "Closed"}}
        for field in ("title", "severity", "status"):
            if not properties.get(field) or properties[field] not in allowed.get(field, {properties[field]}):
                raise Reply.error(400, "BadRequest", f"properties.{field} is missing or wrong")
        if old and body.get("etag") not in (None, old["etag"]):
            raise Reply.error(409, "Conflict", "newer instance of the resource exists")
        number = old["properties"]["incidentNumber"] if old else len(self.sentinel_incidents) + 1
        self.sentinel_incidents[name] = {
            "id": call.path,
            "name": name,
            "type": "Microsoft.SecurityInsights/incidents",
            "etag": f'"{uuid.uuid4()}"',
            "properties": {
                **properties,
                "incidentNumber": number,
                "lastModifiedTimeUtc": now(),
                "createdTimeUtc": old["properties"]["createdTimeUtc"] if old else now(),
            },
        }
        return Reply(200 if old else 201, self.sentinel_incidents[name])

    def _arm_get(self, call: Call, name: str) -> Reply:
        if name not in self.sentinel_incidents:
            raise Reply.error(404, "NotFound", f"no incident {name!r}")
        return Reply(200, self.sentinel_incidents[name])

    def _arm_delete(self, call: Call, name: str) -> Reply:
        return Reply(200 if self.sentinel_incidents.pop(name, None) else 204)

    def _ti_upload(self, call: Call, workspace: str) -> Reply:
        self._spend("threat intelligence requests", 1, self.limits.ti_requests_per_min)
        body = _object(call.body)
        objects = body.get("stixobjects") or []
        if not body.get("sourcesystem") or not 0 < len(objects) <= self.limits.ti_objects:
            raise Reply.error(
                400, "BadRequest", f"sourcesystem and 1 to {self.limits.ti_objects} stixobjects are required"
            )
        self.stix.extend(objects)
        return Reply(200, {"errors": []})

    def _identity(self, call: Call) -> Reply:
        if call.headers.get("x-identity-header") != self._identity_header:
            return Reply.error(401, "Unauthorized", "wrong X-IDENTITY-HEADER")
        resource = call.query["resource"]
        return Reply(
            200,
            {
                "access_token": self.token(resource),
                "expires_on": str(int(time.time()) + 3600),
                "resource": resource,
                "token_type": "Bearer",
            },
        )

    def __enter__(self) -> AzureApi:
        self._folder = tempfile.TemporaryDirectory()
        self.ca_file, key_file = (str(Path(self._folder.name, n)) for n in ("ca.pem", "key.pem"))
        write_certificate(Path(self.ca_file), Path(key_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca_file, key_file)
        self._plain = _serve(self._identity, None)
        self._tls = _serve(self.handle, context)
        self.url = f"https://localhost:{self._tls.server_address[1]}"
        return self

    def __exit__(self, *exc: object) -> None:
        for server in (self._plain, self._tls):
            server.shutdown()
            server.server_close()
        self._folder.cleanup()


def _comparable(value: str) -> str:
    """Return a time so that text order is time order; other values as they are."""
    try:
        return dt.datetime.fromisoformat(value).astimezone(dt.UTC).isoformat(timespec="microseconds")
    except ValueError:
        return value


def _parse(body: bytes) -> Json:
    try:
        return json.loads(body)
    except ValueError:
        raise Reply.error(400, "InvalidPayload", "the body is not JSON") from None


def _object(body: bytes) -> dict[str, Json]:
    value = _parse(body)
    if not isinstance(value, dict):
        raise Reply.error(400, "InvalidPayload", "the body is not a JSON object")
    return value


def _serve(handle: Callable[[Call], Reply], context: ssl.SSLContext | None) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def answer(self) -> None:
            wire = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                body = gzip.decompress(wire) if self.headers.get("Content-Encoding") == "gzip" else wire
                url = urlsplit(self.path)
                query = {k: v[-1] for k, v in parse_qs(url.query).items()}
                headers = {k.lower(): v for k, v in self.headers.items()}
                reply = handle(Call(self.command, url.path, query, headers, body, len(wire)))
            except (OSError, EOFError, zlib.error):
                reply = Reply.error(400, "InvalidPayload", "the body is not gzip")
            data = b"" if reply.body is None else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
