"""The registry client against a real registry, with and without a password."""

import hashlib
import json
import urllib.request
from contextlib import ExitStack

import pytest
from seawall.adapters.images.sources import Sources
from seawall.adapters.registry.client import HttpRegistry
from seawall.adapters.registry.credentials import Credential
from seawall.adapters.registry.transport import HostSettings
from seawall.app.inventory_image import inventory_image
from seawall.domain.errors import Denied, InputError, NotFound, Unavailable
from seawall.domain.images import ImageReference
from seawall.oci.manifests import OCI_INDEX, OCI_MANIFEST

from tests.support.images import Layout, tar_of
from tests.support.ports import free_port
from tests.support.registry import PASSWORD, USER, running_registry

pytestmark = pytest.mark.real("registry")


@pytest.fixture
def client():
    """Makes clients and closes them."""
    with ExitStack() as stack:

        def make(host: str, credential: Credential | None = None) -> HttpRegistry:
            made = HttpRegistry(lambda _host: credential, {host: HostSettings(plain_http=True)}, sleep=lambda _s: None)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with running_registry(tmp_path_factory.mktemp("guarded"), auth=True) as running:
        yield running


def push_image(http: HttpRegistry, host: str, repository: str, tag: str, text: str = "1.0.0") -> ImageReference:
    made = Layout()
    entry = made.image([tar_of({"a/node_modules/x/package.json": json.dumps({"name": "x", "version": text})})])
    reference = ImageReference(host, repository, tag)
    manifest = made.blobs.pop(entry["digest"])
    for content in made.blobs.values():
        http.push_blob(reference, content)
    assert http.push_manifest(reference, manifest, OCI_MANIFEST) == entry["digest"]
    return ImageReference(host, repository, tag, entry["digest"])


def test_push_and_scan(registry, client):
    http = client(registry.host)
    pushed = push_image(http, registry.host, "shop/api", "1")
    inventory = inventory_image(f"{registry.host}/shop/api:1", sources=Sources(lambda: http))
    assert [package.purl for package in inventory.packages] == ["pkg:npm/x@1.0.0"]
    assert inventory.digest == pushed.digest
    assert inventory.gaps == ()
    assert http.resolve(ImageReference(registry.host, "shop/api", "1")) == (OCI_MANIFEST, pushed.digest)
    assert http.manifest(ImageReference(registry.host, "shop/api", "", pushed.digest))[1] == pushed.digest


def test_pushing_a_blob_twice(registry, client):
    http = client(registry.host)
    reference = ImageReference(registry.host, "twice", "1")
    assert http.push_blob(reference, b"abc") == http.push_blob(reference, b"abc")
    assert b"".join(http.blob(reference, f"sha256:{hashlib.sha256(b'abc').hexdigest()}")) == b"abc"


def test_referrers_by_the_fallback_tag(registry, client):
    """docker-registry 2.8 has no referrers API."""
    http = client(registry.host)
    image = push_image(http, registry.host, "signed", "1")
    assert http.referrers(image) == []
    config = http.push_blob(image, b"{}")
    digests = []
    for number in range(2):
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": "application/vnd.test",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
            "layers": [],
            "subject": {"mediaType": OCI_MANIFEST, "digest": image.digest, "size": 1},
            "annotations": {"number": str(number)},
        }
        target = ImageReference(image.registry, image.repository)
        digests.append(http.push_manifest(target, json.dumps(manifest).encode(), OCI_MANIFEST, replaces=tuple(digests)))
        http.push_manifest(target, json.dumps(manifest).encode(), OCI_MANIFEST, replaces=tuple(digests[:-1]))
    (found,) = http.referrers(image, "application/vnd.test")
    assert (found["digest"], found["artifactType"], found["annotations"]) == (
        digests[1],
        "application/vnd.test",
        {"number": "1"},
    )
    assert http.referrers(image, "application/vnd.other") == []
    media_type, _, _ = http.manifest(ImageReference(image.registry, image.repository, image.digest.replace(":", "-")))
    assert media_type == OCI_INDEX
    with pytest.raises(NotFound):
        http.manifest(ImageReference(image.registry, image.repository, "", digests[0]))


def test_listing(registry, client):
    http = client(registry.host)
    for repository, tag in (("list/a", "1"), ("list/a", "2"), ("list/b", "1")):
        push_image(http, registry.host, repository, tag)
    assert {name for name in http.repositories(registry.host) if name.startswith("list/")} == {"list/a", "list/b"}
    assert sorted(http.tags(ImageReference(registry.host, "list/a"))) == ["1", "2"]


def test_basic_authentication(guarded, client):
    http = client(guarded.host, Credential(USER, PASSWORD))
    image = push_image(http, guarded.host, "shop/api", "1")
    assert http.manifest(image)[1] == image.digest
    with pytest.raises(Denied, match="user name and password"):
        client(guarded.host).manifest(image)
    with pytest.raises(Denied, match="UNAUTHORIZED"):
        client(guarded.host, Credential(USER, "wrong")).manifest(image)


def test_what_is_not_there(registry, client):
    http = client(registry.host)
    with pytest.raises(NotFound, match="MANIFEST_UNKNOWN"):
        http.manifest(ImageReference(registry.host, "nothing", "here"))
    with pytest.raises(NotFound):
        list(http.blob(ImageReference(registry.host, "nothing"), "sha256:" + "0" * 64))
    with pytest.raises(InputError):
        http.blob(ImageReference(registry.host, "nothing"), "../../../etc/passwd")


def test_a_registry_that_is_down(client):
    host = f"127.0.0.1:{free_port()}"
    with pytest.raises(Unavailable, match=r"does not answer"):
        client(host).manifest(ImageReference(host, "a", "b"))


def test_a_layer_that_the_registry_does_not_serve(registry, client):
    """Non-distributable layers, and blobs that a clean-up took away."""
    http = client(registry.host)
    made = Layout()
    layers = [
        tar_of({"a/node_modules/x/package.json": '{"name":"x","version":"1.0.0"}'}),
        tar_of({"a/node_modules/y/package.json": '{"name":"y","version":"1.0.0"}'}),
    ]
    entry = made.image(layers)
    manifest = made.blobs.pop(entry["digest"])
    reference = ImageReference(registry.host, "incomplete", "1")
    for content in made.blobs.values():
        http.push_blob(reference, content)
    http.push_manifest(reference, manifest, OCI_MANIFEST)
    missing = json.loads(manifest)["layers"][1]["digest"]
    request = urllib.request.Request(f"http://{registry.host}/v2/incomplete/blobs/{missing}", method="DELETE")
    urllib.request.urlopen(request).close()
    inventory = inventory_image(str(reference), sources=Sources(lambda: http))
    assert [package.purl for package in inventory.packages] == ["pkg:npm/x@1.0.0"]
    assert [gap.where for gap in inventory.gaps] == [missing]
