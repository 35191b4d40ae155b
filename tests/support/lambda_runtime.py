"""AWS Lambda without AWS: a runtime API (2018-06-01) for the real bootstrap, `awslambdaric`.

`awslambdaric` is the program that runs in Lambda's own Python image. It asks a runtime API for events and posts
results; this file is that API, so handlers run exactly as in production: import at init, one process, JSON in and out,
real error reports.

    with LambdaProcess("functions/aws", "handlers.on_image_push", env={"TABLE": "t"}) as fn:
        assert fn.invoke(event).body == {"batchItemFailures": []}

`invoke` returns `Outcome(kind, body)`: kind "response", or "error" with `errorType`, `errorMessage` and `stackTrace`
(an error at import is reported as "error" too: `Runtime.ImportModuleError`, `Runtime.HandlerNotFound`, ...).

Limits: one environment, one event at a time (as one Lambda instance), no memory limit, no IAM, no retries, no event
source mapping: the SQS and Kinesis shapes in the self-check are what the mapping would send. A handler that overruns
its deadline is killed, as Lambda does it.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    kind: str  # "response" | "error"
    body: Any

    @property
    def ok(self) -> bool:
        return self.kind == "response"


class RuntimeApi:
    """The HTTP side: GET .../invocation/next hands out an event, POST .../response or .../error takes the result."""

    def __init__(self, timeout_s: float = 180) -> None:
        self.timeout_s = timeout_s
        self._events: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._outcomes: dict[str, Outcome] = {}  # by request id; "init" for a failed import
        self._changed = threading.Condition()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def do_GET(self) -> None:  # /2018-06-01/runtime/invocation/next
                request_id, event = api._events.get()
                deadline = time.time() + api.timeout_s
                self.answer(
                    200,
                    json.dumps(event).encode(),
                    {
                        "Content-Type": "application/json",
                        "Lambda-Runtime-Aws-Request-Id": request_id,
                        "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
                        "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:fn",
                        "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
                    },
                )

            def do_POST(self) -> None:  # .../invocation/ID/response | .../ID/error | /init/error
                *_, request_id, kind = self.path.strip("/").split("/")
                body = json.loads(self.body() or b"null")
                with api._changed:
                    api._outcomes[request_id] = Outcome(kind, body)
                    api._changed.notify_all()
                self.answer(202)

            def body(self) -> bytes:
                if not self.headers.get("Transfer-Encoding"):
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                out = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    out += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return out

            def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # a killed instance resets its connection
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def invoke(self, event: Any) -> Outcome:
        """Return the outcome of one event.

        Raises:
            TimeoutError: nothing came back before the deadline.
        """
        request_id = str(uuid.uuid4())
        self._events.put((request_id, event))
        with self._changed:
            if not self._changed.wait_for(lambda: self._outcomes.keys() & {request_id, "init"}, self.timeout_s):
                raise TimeoutError(f"Task timed out after {self.timeout_s:.2f} seconds")
            return self._outcomes.pop(request_id, None) or self._outcomes["init"]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class LambdaProcess:
    """One Lambda instance: `python -m awslambdaric HANDLER` in `folder`, fed by a RuntimeApi."""

    def __init__(
        self,
        folder: str | Path,
        handler: str,
        *,
        env: dict[str, str] | None = None,
        timeout_s: float = 180,
        python: str = sys.executable,
    ) -> None:
        self.folder, self.handler, self.python = Path(folder).resolve(), handler, python
        self.env, self.api = env or {}, RuntimeApi(timeout_s)

    def __enter__(self) -> LambdaProcess:
        self._process = subprocess.Popen(
            [self.python, "-m", "awslambdaric", self.handler],
            cwd=self.folder,
            env={
                **os.environ,
                "AWS_LAMBDA_RUNTIME_API": self.api.address,
                "LAMBDA_TASK_ROOT": str(self.folder),
                "AWS_LAMBDA_FUNCTION_NAME": "fn",
                "AWS_LAMBDA_FUNCTION_VERSION": "1",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
                "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/fn",
                "AWS_LAMBDA_LOG_STREAM_NAME": "local",
                "AWS_REGION": "eu-west-1",
                "AWS_ACCESS_KEY_ID": "x",
                "AWS_SECRET_ACCESS_KEY": "x",
                **self.env,
            },
        )
        return self

    def invoke(self, event: Any) -> Outcome:
        try:
            return self.api.invoke(event)
        except TimeoutError:
            self._process.kill()  # Lambda throws the environment away, too
            raise

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait(60)
        self.api.close()


# What event source mappings send


def sqs(*bodies: str) -> dict[str, Any]:
    """Return a batch of SQS messages; message ids are m0, m1, ..."""
    return {
        "Records": [
            {
                "messageId": f"m{i}",
                "receiptHandle": "h",
                "body": body,
                "md5OfBody": "",
                "messageAttributes": {},
                "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1793600000000"},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:pushes",
                "awsRegion": "eu-west-1",
            }
            for i, body in enumerate(bodies)
        ]
    }


def kinesis(*documents: Any) -> dict[str, Any]:
    """Return CloudWatch Logs subscription documents as a Kinesis batch: base64 of gzip of JSON."""
    return {
        "Records": [
            {
                "eventID": f"shardId-000000000000:{i}",
                "eventSource": "aws:kinesis",
                "kinesis": {
                    "partitionKey": "p",
                    "sequenceNumber": str(i),
                    "approximateArrivalTimestamp": 1793600000.0,
                    "data": base64.b64encode(gzip.compress(json.dumps(document).encode())).decode(),
                },
            }
            for i, document in enumerate(documents)
        ]
    }
