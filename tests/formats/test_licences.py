"""Licences as packages write them, in SPDX's words where that is certain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.licenses import canonicalize_license_expression
from seawall.formats.licences import expression, spdx


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("MIT", "MIT"),
        ("mit", "MIT"),
        ("MIT License", "MIT"),
        ("Apache-2.0", "Apache-2.0"),
        ("ASL 2.0", "Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("GPLv2+", "GPL-2.0-or-later"),
        ("GPLv2", "GPL-2.0-only"),
        ("LGPLv2.1+", "LGPL-2.1-or-later"),
        ("GPL-2.0-or-later", "GPL-2.0-or-later"),
        ("GPLv2+ and LGPLv2+ and MIT", "GPL-2.0-or-later AND LGPL-2.0-or-later AND MIT"),
        ("(MPLv2.0 or GPLv2+) and ASL 2.0", "(MPL-2.0 OR GPL-2.0-or-later) AND Apache-2.0"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("BSD", ""),
        ("GPL", ""),
        ("Apache Software License", ""),
        ("GPLv3+ and BSD", ""),
        ("SEE LICENSE IN LICENSE.md", ""),
        ("MIT AND", ""),
        ("((MIT)", ""),
        ("", ""),
        ("MIT " * 2000, ""),
    ],
)
def test_spdx(written, meant):
    assert spdx(written) == meant


def test_several_licences_all_hold():
    assert expression(["MIT", "ASL 2.0 or MIT", "MIT"]) == "MIT AND (Apache-2.0 OR MIT)"
    assert expression(["MIT", "weird"]) == ""
    assert expression([]) == ""


@given(
    st.lists(
        st.text(max_size=40) | st.sampled_from(["MIT", "GPLv2+", "(", ")", " or ", "with", "Apache-2.0+"]), max_size=5
    )
)
def test_any_text_gives_a_valid_expression_or_none(words):
    found = expression(words)
    assert not found or canonicalize_license_expression(found) == found
