"""Images that no notification told of, found by listing a real registry."""

import json

import pytest
from seawall.adapters.registry.client import HttpRegistry
from seawall.adapters.registry.transport import HostSettings
from seawall.app.reconcile_registry import missed_pushes
from seawall.domain.images import ImageReference
from seawall.oci.manifests import OCI_MANIFEST

from tests.support.images import Layout, tar_of
from tests.support.registry import running_registry

pytestmark = pytest.mark.real("registry")


def push(http: HttpRegistry, host: str, repository: str, tag: str, text: str) -> str:
    made = Layout()
    entry = made.image([tar_of({"etc/x": text})])
    manifest = made.blobs.pop(entry["digest"])
    reference = ImageReference(host, repository, tag)
    for content in made.blobs.values():
        http.push_blob(reference, content)
    return http.push_manifest(reference, manifest, OCI_MANIFEST)


def test_missed_pushes(tmp_path):
    with running_registry(tmp_path) as running:
        http = HttpRegistry(lambda _host: None, {running.host: HostSettings(plain_http=True)})
        known = push(http, running.host, "a", "1", "one")
        new = push(http, running.host, "a", "2", "two")
        push(http, running.host, "a", "latest", "two")
        other = push(http, running.host, "b/c", "1", "three")
        # what cosign leaves behind
        empty = http.push_blob(ImageReference(running.host, "a"), b"{}")
        signature = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": empty, "size": 2}, "layers": []}  # fmt: skip
        http.push_manifest(
            ImageReference(running.host, "a", known.replace(":", "-") + ".sig"),
            json.dumps(signature).encode(),
            OCI_MANIFEST,
        )
        missed = list(missed_pushes(running.host, registry=http, is_known={known}.__contains__))
        assert sorted((push.repository, push.digest) for push in missed) == [("a", new), ("b/c", other)]
        assert {push.tag for push in missed} <= {"1", "2", "latest"}
        chosen = list(
            missed_pushes(running.host, registry=http, is_known=lambda _d: False, repositories=["nothing", "b/c"])
        )
        assert [push.digest for push in chosen] == [other]
        http.close()
