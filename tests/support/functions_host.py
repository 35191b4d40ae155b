"""Azure Functions without the .NET host: load a real `function_app.py` and call its functions.

Microsoft's own library, `azure-functions-runtime`, indexes the app (decorators, blueprints, bindings) and decodes and
encodes the bindings; this file only plays the host's part: it builds trigger data and reads results.

    async with FunctionsHost("functions/azure") as host:
        result = await host.call("on_push", event_grid(event))
        assert result.ok and result.outputs["poison"] == ...

Builders for triggers: `event_hub(...)`, `event_grid(...)`, `http(...)`, `timer(...)`, `queue(...)`.
`host.bindings["on_push"]` is the list of bindings (as function.json would hold them): assert on hub names, connections,
schedules and authorization levels there.

Limits: the native entry point is not a public contract, so `azure-functions-runtime` is pinned to 1.3 (it needs Python
3.13). One function app per process (module-level registry): `FunctionsProcess` starts one.
No HTTP streaming, no SDK-type ("deferred") bindings, no scaling, no retries: those are the real host's; call the
function again with a higher `retry_count` to play one.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as runtime
from azure_functions_runtime import native_invocation
from azure_functions_runtime.bindings.datumdef import Datum


class _Protos:
    """Stands in for the generated protobuf module: every attribute is a message class that keeps its fields."""

    class _Message:
        Failure, Success, Cancelled = 0, 1, 2  # StatusResult

        def __init__(self, **fields: Any) -> None:
            self.__dict__.update(fields)

        def __repr__(self) -> str:
            return f"{type(self).__name__}({self.__dict__})"

    class BindingInfo(_Message):
        # `in` is a keyword: the library reads it with getattr
        out, inout = 1, 2
        undefined, string, binary, stream = 0, 1, 2, 3

    def __getattr__(self, name: str) -> type:
        message = type(name, (self._Message,), {})
        setattr(self, name, message)
        return message


setattr(_Protos.BindingInfo, "in", 0)


def _text(value: str) -> Datum:
    return Datum(value, "string")


def _json(value: Any) -> Datum:
    return Datum(json.dumps(value), "json")


@dataclass(frozen=True)
class Trigger:
    """What starts a function: the data of its trigger parameter, and the metadata beside it."""

    data: Datum
    metadata: dict[str, Datum] = field(default_factory=dict)


def event_hub(
    bodies: list[bytes],
    *,
    partition: str = "0",
    first_sequence: int = 0,
    properties: list[dict[str, Any]] | None = None,
    key: str | None = None,
) -> Trigger:
    """Return a batch as the Event Hubs trigger gets it with cardinality MANY.

    Application properties reach the function only through `events[0].metadata["PropertiesArray"]`.
    """
    enqueued = datetime.now(UTC).isoformat()
    system = [
        {
            "SequenceNumber": first_sequence + i,
            "Offset": str(100 * (first_sequence + i)),
            "EnqueuedTimeUtc": enqueued,
            "PartitionKey": key,
        }
        for i in range(len(bodies))
    ]
    return Trigger(
        Datum(SimpleNamespace(bytes=bodies), "collection_bytes"),
        {
            "SystemPropertiesArray": _json(system),  # must be as long as `bodies`
            "PropertiesArray": _json(properties or [{} for _ in bodies]),
            "PartitionContext": _json({"PartitionId": partition, "ConsumerGroup": "$Default"}),
        },
    )


def event_grid(event: dict[str, Any]) -> Trigger:
    """Return one event (the trigger gets them one by one, never the array)."""
    return Trigger(_json(event))


def http(
    method: str,
    url: str,
    body: bytes = b"",
    *,
    headers: dict[str, str] | None = None,
    route: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
) -> Trigger:
    """Return a request. Header names arrive in lower case."""
    texts = [{k: _text(v) for k, v in (d or {}).items()} for d in (headers, route, query)]
    return Trigger(
        Datum(
            {
                "method": _text(method),
                "url": _text(url),
                "headers": texts[0],
                "params": texts[1],
                "query": texts[2],
                "body": Datum(body, "bytes"),
            },
            "http",
        )
    )


def timer(*, past_due: bool = False) -> Trigger:
    return Trigger(
        _json(
            {
                "IsPastDue": past_due,
                "Schedule": {"AdjustForDST": True},
                "ScheduleStatus": {"Last": "2026-11-02T09:00:00+00:00", "Next": "2026-11-02T09:05:00+00:00"},
            }
        )
    )


def queue(body: str, *, dequeue_count: int = 1) -> Trigger:
    return Trigger(
        _text(body),
        {"Id": _text(str(uuid.uuid4())), "DequeueCount": Datum(dequeue_count, "int"), "PopReceipt": _text("receipt")},
    )


@dataclass(frozen=True)
class HttpResponse:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Result:
    """What the host would get back. `outputs` holds decoded output bindings; `error` is None on success."""

    ok: bool
    value: Any
    outputs: dict[str, Any]
    error: str | None
    traceback: str | None


def _plain(datum: Datum | None) -> Any:
    if datum is None:
        return None
    if datum.type == "http":
        v = datum.value
        headers = {k: h.value for k, h in v["headers"].items()}
        body = v["body"].value if v.get("body") is not None else b""
        return HttpResponse(int(v["status_code"].value), headers, body.encode() if isinstance(body, str) else body)
    return datum.python_value


class FunctionsHost:
    """Loads one function app. Use as an asynchronous context manager."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = str(Path(folder).resolve())
        self.bindings: dict[str, list[dict[str, Any]]] = {}
        self._ids: dict[str, str] = {}

    async def __aenter__(self) -> FunctionsHost:
        sys.path.insert(0, self.folder)  # as the real worker does: the app's own modules first
        runtime.start_threadpool_executor()
        init = SimpleNamespace(worker_init_request=SimpleNamespace(capabilities={}, function_app_directory=self.folder))
        request = SimpleNamespace(request=init, properties={"host": "127.0.0.1", "protos": _Protos()})
        answer = await runtime.worker_init_request(request)
        if answer.result.status != answer.result.Success:
            raise RuntimeError(f"function app did not load: {answer.result.exception}")
        functions = (await runtime.functions_metadata_request(request)).function_metadata_results or []
        for function in functions:
            self._ids[function.name] = function.function_id
            self.bindings[function.name] = [json.loads(raw) for raw in function.raw_bindings]
        return self

    async def __aexit__(self, *exc: object) -> None:
        runtime.stop_threadpool_executor()
        sys.path.remove(self.folder)

    async def call(self, function: str, trigger: Trigger, *, retry_count: int = 0, max_retry_count: int = 0) -> Result:
        """Run one invocation; an exception in the function is a Result with `ok` False, as on the wire."""
        parameter = next(b["name"] for b in self.bindings[function] if b["type"].lower().endswith("trigger"))
        ok, value, outputs, error, traceback = await native_invocation.invocation_request_native(
            str(uuid.uuid4()),
            self._ids[function],
            [(parameter, trigger.data)],
            trigger.metadata,
            retry_count=retry_count,
            max_retry_count=max_retry_count,
        )
        return Result(ok, _plain(value), {name: _plain(datum) for name, datum in outputs}, error, traceback)


class FunctionsProcess:
    """One function app in a process of its own, as on a real instance. `call` as in `FunctionsHost`, but synchronous.

    `kill()` ends the process without a goodbye: the crash before a checkpoint.
    """

    def __init__(self, folder: str | Path, env: dict[str, str]) -> None:
        self.folder, self.env = str(folder), env
        self.bindings: dict[str, list[dict[str, Any]]] = {}

    def __enter__(self) -> FunctionsProcess:
        context = multiprocessing.get_context("spawn")
        self._pipe, child = context.Pipe()
        self._process = context.Process(target=_serve_calls, args=(self.folder, self.env, child), daemon=True)
        self._process.start()
        child.close()
        self.bindings = self._answer()
        return self

    def __exit__(self, *exc: object) -> None:
        self._pipe.close()
        self._process.join(10)
        if self._process.is_alive():
            self.kill()

    def call(self, function: str, trigger: Trigger, *, retry_count: int = 0, max_retry_count: int = 0) -> Result:
        """Run one invocation."""
        self._pipe.send((function, trigger, retry_count, max_retry_count))
        return self._answer()

    def kill(self) -> None:
        """End the process now."""
        self._process.kill()
        self._process.join(10)

    def _answer(self) -> Any:
        if not self._pipe.poll(180):
            raise TimeoutError("the function app did not answer within 180 s")
        answer = self._pipe.recv()
        if isinstance(answer, BaseException):
            raise answer
        return answer


def _serve_calls(folder: str, env: dict[str, str], pipe: Connection) -> None:
    os.environ.update(env)

    async def serve() -> None:
        try:
            async with FunctionsHost(folder) as host:
                pipe.send(host.bindings)
                while True:
                    function, trigger, count, limit = await asyncio.to_thread(pipe.recv)
                    pipe.send(await host.call(function, trigger, retry_count=count, max_retry_count=limit))
        except EOFError:
            return
        except RuntimeError as error:
            pipe.send(error)

    asyncio.run(serve())
