"""Small and middle-sized objects by URL: a folder, Azure Blob Storage, S3, Google Cloud Storage.

| URL | where | identity |
|--|--|--|
| `path`, `file:///path` | a folder | - |
| `abfs://container@account.blob.core.windows.net/prefix` | Azure | `azure` settings, or `AZURE_STORAGE_CONNECTION_STRING` |
| `s3://bucket/prefix` | AWS | the role |
| `gs://bucket/prefix` | Google | the service account |

The clouds' own clients, which are in each app anyway: s3fs and gcsfs would bring a second copy of them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from seawall.domain.errors import ConfigError, Denied, MissingExtra, NotFound, Unavailable

if TYPE_CHECKING:
    from seawall.settings import Settings

CLOUD_SCHEMES = ("abfs://", "abfss://", "az://", "s3://", "gs://", "gcs://")


class Blobs(Protocol):
    """Objects by name; names are relative, with `/`."""

    def get(self, name: str) -> bytes:
        """Return the object. Raises: NotFound, Denied, Unavailable."""

    def put(self, name: str, content: bytes) -> None:
        """Write the object, whole or not at all. Raises: Denied, Unavailable."""

    def version(self, name: str) -> str:
        """Return a text that changes with the object; empty when there is none. Raises: Denied, Unavailable."""


class FolderBlobs:
    """A folder; written aside and moved into place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> bytes:
        """See the port."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"no blob {name}") from error
        except OSError as error:
            raise Unavailable(f"blob {name}: {error.strerror}") from error

    def put(self, name: str, content: bytes) -> None:
        """See the port."""
        path = self._folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(temporary).replace(path)
        except OSError as error:
            raise Unavailable(f"blob {name}: {error.strerror}") from error

    def version(self, name: str) -> str:
        """See the port."""
        try:
            state = (self._folder / name).stat()
        except OSError:
            return ""
        return f"{state.st_mtime_ns}-{state.st_size}"


@contextmanager
def azure_translated(what: str, permission: str) -> Iterator[None]:
    """Raise what Azure Storage says about `what` as a `SeawallError`; a refusal names the permission."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

    try:
        yield
    except ResourceNotFoundError as error:
        raise NotFound(f"no {what}") from error
    except AzureError as error:
        status = error.status_code if isinstance(error, HttpResponseError) else None
        if isinstance(error, ClientAuthenticationError) or status in (401, 403):
            raise Denied(f"{what}: refused", hint=f"needs {permission}") from error
        raise Unavailable(what, hint=str(error).splitlines()[0]) from error


class AzureBlobs:
    """A container of Azure Blob Storage."""

    _RIGHTS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/"

    def __init__(self, container: Any, prefix: str) -> None:
        self._container, self._prefix = container, prefix

    def get(self, name: str) -> bytes:
        """See the port."""
        with azure_translated(f"blob {name}", self._RIGHTS + "read"):
            return bytes(self._container.download_blob(self._prefix + name).readall())

    def put(self, name: str, content: bytes) -> None:
        """See the port."""
        try:
            with azure_translated(f"blob {name}", self._RIGHTS + "write"):
                self._container.upload_blob(self._prefix + name, content, overwrite=True)
        except NotFound as error:
            raise Unavailable(f"blob {name}: there is no such container") from error

    def version(self, name: str) -> str:
        """See the port."""
        try:
            with azure_translated(f"blob {name}", self._RIGHTS + "read"):
                return str(self._container.get_blob_client(self._prefix + name).get_blob_properties().etag)
        except NotFound:
            return ""


class S3Blobs:
    """A bucket of S3."""

    def __init__(self, bucket: str, prefix: str) -> None:
        from seawall.adapters.aws.session import client

        self._client, self._bucket, self._prefix = client("s3"), bucket, prefix

    def get(self, name: str) -> bytes:
        """See the port."""
        from seawall.adapters.aws.session import translated

        with translated("s3:GetObject", Unavailable):
            return bytes(self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read())

    def put(self, name: str, content: bytes) -> None:
        """See the port."""
        from seawall.adapters.aws.session import translated

        try:
            with translated("s3:PutObject", Unavailable):
                self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=content)
        except NotFound as error:
            raise Unavailable(f"blob {name}: there is no such bucket") from error

    def version(self, name: str) -> str:
        """See the port."""
        from seawall.adapters.aws.session import translated

        try:
            with translated("s3:GetObject", Unavailable):
                return str(self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)["ETag"])
        except NotFound:
            return ""


@contextmanager
def _google_translated(what: str, permission: str) -> Iterator[None]:
    """The same of Google Cloud Storage."""
    from google.api_core.exceptions import Forbidden, GoogleAPIError, Unauthorized
    from google.api_core.exceptions import NotFound as Missing
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    try:
        yield
    except Missing as error:
        raise NotFound(f"no {what}") from error
    except (Forbidden, Unauthorized) as error:
        raise Denied(f"{what}: refused", hint=f"needs {permission}") from error
    except (GoogleAPIError, GoogleAuthError, RequestException) as error:
        raise Unavailable(what, hint=str(error).partition("\n")[0]) from error


class GoogleBlobs:
    """A bucket of Google Cloud Storage."""

    def __init__(self, bucket: Any, prefix: str) -> None:
        self._bucket, self._prefix = bucket, prefix

    def get(self, name: str) -> bytes:
        """See the port."""
        with _google_translated(f"blob {name}", "storage.objects.get"):
            return bytes(self._bucket.blob(self._prefix + name).download_as_bytes())

    def put(self, name: str, content: bytes) -> None:
        """See the port."""
        try:
            with _google_translated(f"blob {name}", "storage.objects.create and storage.objects.delete"):
                self._bucket.blob(self._prefix + name).upload_from_string(content)
        except NotFound as error:
            raise Unavailable(f"blob {name}: there is no such bucket") from error

    def version(self, name: str) -> str:
        """See the port."""
        with _google_translated(f"blob {name}", "storage.objects.get"):
            blob = self._bucket.get_blob(self._prefix + name)
        return str(blob.generation) if blob else ""


def open_blobs(url: str, settings: Settings) -> Blobs:
    """Return the objects below `url`; nothing is asked of the network yet.

    Raises:
        ConfigError: a scheme that is not one of ours. MissingExtra: the cloud's client is not installed.
    """
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    prefix = f"{prefix}/" if prefix else ""
    if parts.scheme in ("", "file"):
        return FolderBlobs(Path(parts.path if parts.scheme else url))
    if parts.scheme in ("abfs", "abfss", "az"):
        return AzureBlobs(_azure_container(parts.username or "", parts.hostname or "", settings), prefix)
    if parts.scheme == "s3":
        return S3Blobs(parts.netloc, prefix)
    if parts.scheme in ("gs", "gcs"):
        try:
            from google.cloud import storage  # type: ignore[attr-defined]
        except ImportError as error:
            raise MissingExtra("gcp", url) from error
        return GoogleBlobs(storage.Client().bucket(parts.netloc), prefix)
    raise ConfigError(f"blob_url: {parts.scheme}:// is not supported", hint="abfs://, s3://, gs:// or a path")


def _azure_container(container: str, host: str, settings: Settings) -> Any:
    from seawall.adapters.azure.identity import azure_credential

    try:
        from azure.storage.blob import ContainerClient
    except ImportError as error:
        raise MissingExtra("azure", "Azure Blob Storage") from error
    text = os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
    if text:
        return ContainerClient.from_connection_string(text, container or host)
    if not container:
        raise ConfigError("blob_url names no container", hint="abfs://container@account.blob.core.windows.net/prefix")
    return ContainerClient(
        f"https://{host.replace('.dfs.', '.blob.')}", container, credential=azure_credential(settings.azure)
    )
