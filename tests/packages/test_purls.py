"""Our purls are packageurl-python's, character for character."""

import re

from hypothesis import given
from hypothesis import strategies as st
from packageurl import PackageURL
from seawall.packages.purls import purl, pypi_name

TYPES = st.sampled_from(["deb", "apk", "rpm", "npm", "pypi", "golang", "maven", "gem", "cargo", "nuget", "composer", "conda", "bitnami", "generic", "conan"])  # fmt: skip
PART = st.text(
    st.characters(codec="utf-8", exclude_characters="/#?@", exclude_categories=("C", "Z")), min_size=1, max_size=20
)


@given(
    TYPES,
    st.one_of(st.just(""), PART),
    PART,
    st.one_of(st.just(""), PART),
    st.dictionaries(st.sampled_from(["arch", "distro", "epoch"]), PART),
)
def test_same_as_the_reference_library(kind, namespace, name, version, qualifiers):
    expected = PackageURL(kind, namespace or None, name, version or None, qualifiers or None).to_string()
    # the library lower-cases escapes along with the name; the specification wants them upper-case
    upper = re.sub(r"%[0-9a-f]{2}", lambda match: match.group().upper(), expected)
    assert purl(kind, namespace, name, version, qualifiers.items()) == upper


def test_pypi_names():
    assert pypi_name("Foo__Bar.-baz") == "foo-bar-baz"
