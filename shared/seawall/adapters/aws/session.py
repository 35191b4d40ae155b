"""AWS clients: one of each service and region per process, short time-outs, errors as ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from seawall.domain.errors import Denied, InputError, MissingExtra, NotFound, SeawallError, Unavailable

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "KMSAccessDeniedException"}
_EXPIRED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
}
_BUSY = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"}


_federated: list[Any] = []
"""The session of a role that was taken with another cloud's token; empty = what boto3 finds."""


def federate(role_arn: str, token: Callable[[], str]) -> None:
    """From now on clients act as `role_arn`, taken with the OIDC tokens that `token()` returns and renewed before they end.

    Raises:
        MissingExtra: boto3 is not installed.
    """
    try:
        import boto3
        import botocore.session
        from botocore.credentials import AssumeRoleWithWebIdentityCredentialFetcher, DeferredRefreshableCredentials
    except ImportError as error:
        raise MissingExtra("aws", "AWS") from error
    session = botocore.session.get_session()
    fetcher = AssumeRoleWithWebIdentityCredentialFetcher(
        client_creator=session.create_client,
        web_identity_token_loader=token,
        role_arn=role_arn,
        extra_args={"RoleSessionName": "seawall"},
    )
    session._credentials = DeferredRefreshableCredentials(
        method="assume-role-with-web-identity", refresh_using=fetcher.fetch_credentials
    )
    _federated[:] = [boto3.Session(botocore_session=session)]
    client.cache_clear()


@cache
def client(service: str, region: str = "") -> Any:
    """Return the client of a service; credentials come from the role that the process runs under.

    Raises:
        MissingExtra: boto3 is not installed.
    """
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise MissingExtra("aws", "AWS") from error
    config = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 4})
    return (_federated[0] if _federated else boto3).client(service, region_name=region or None, config=config)


@contextmanager
def translated(action: str, refused: type[SeawallError] = InputError) -> Iterator[None]:
    """Raise what AWS says about `action` ("securityhub:BatchImportFindings") as a `SeawallError`.

    What the service refuses for a reason that is not known here is `refused`. Where our own queues and buckets are concerned
    that is `Unavailable`: no input is at fault when they are missing or wrongly set up.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _error(action, error.response, refused) from error
    except BotoCoreError as error:
        raise Unavailable(f"{action}: {type(error).__name__}", hint=str(error)) from error


def _error(action: str, response: dict[str, Any], refused: type[SeawallError]) -> SeawallError:
    code, message = str(response["Error"].get("Code", "")), str(response["Error"].get("Message", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    what = f"{action}: {code} {message}".strip()
    if code in _DENIED or code in _EXPIRED or status in (401, 403):
        return Denied(what, hint=f"allow {action} in the role's policy")
    if (
        "NotFound" in code
        or "NonExistent" in code
        or "DoesNotExist" in code
        or code.startswith("NoSuch")
        or status == 404
    ):
        return NotFound(what)
    if code in _BUSY or status == 429 or status >= 500:
        return Unavailable(what)
    return refused(what)
