"""Image references."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seawall.domain.errors import InputError
from seawall.oci.references import parse_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.25", "docker.io/library/nginx:1.25"),
        ("acme/api", "docker.io/acme/api:latest"),
        ("index.docker.io/acme/api:1", "docker.io/acme/api:1"),
        ("localhost/api", "localhost/api:latest"),
        ("localhost:5000/a/b/c:v1", "localhost:5000/a/b/c:v1"),
        ("127.0.0.1:5000/api", "127.0.0.1:5000/api:latest"),
        ("[::1]:5000/api:1", "[::1]:5000/api:1"),
        ("ghcr.io/a/b@" + DIGEST, "ghcr.io/a/b@" + DIGEST),
        ("ghcr.io/a/b:1@" + DIGEST, "ghcr.io/a/b:1@" + DIGEST),
        ("acme.azurecr.io/shop__x/a-b--c", "acme.azurecr.io/shop__x/a-b--c:latest"),
    ],
)
def test_references(text, whole):
    assert str(parse_reference(text)) == whole


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "repository"),
        ("Nginx", "repository"),
        ("a/b:", "tag"),
        ("a/b:-x", "tag"),
        ("a@sha256:abc", "digest"),
        ("a@md5:" + "a" * 32, "digest"),
        ("a..b.io/x//y", "registry"),
        ("a.io/../../etc", "repository"),
        ("a b", "repository"),
        ("x" * 2000, "reference"),
    ],
)
def test_not_references(text, where):
    with pytest.raises(InputError) as error:
        parse_reference(text)
    assert error.value.where == where


@given(st.text(max_size=80))
def test_any_text(text):
    try:
        found = parse_reference(text)
    except InputError:
        return
    assert parse_reference(str(found)) == found
