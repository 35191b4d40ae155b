"""What a Java project asks for: pom.xml and Gradle's lock file.

Source: Maven, "POM Reference"; Gradle, "Locking dependency versions".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seawall.packages.analyzer import Found, ImageFile, analyzer

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"<(/?)([A-Za-z_][\w.-]*)[^<>]*?(/?)>([^<]*)")
_REFERENCE = re.compile(r"\$\{([^{}]+)\}")
_PROPERTY_ROUNDS = 8


@analyzer(id="pom", reads=("**/pom.xml",), project=True)
def pom(file: ImageFile) -> Iterator[Found]:
    """Yield the project and its dependencies whose version the file itself states; parents are not fetched.

    Read by tag, without an XML parser: entities and external documents of a hostile file have no effect.
    """
    values, dependencies, managed = _read(file.text[: 4 * 1024 * 1024])

    def text(raw: str) -> str:
        for _ in range(_PROPERTY_ROUNDS):
            filled = _REFERENCE.sub(lambda match: values.get(match.group(1), match.group()), raw)[:512]
            if filled == raw:
                break
            raw = filled
        return raw.strip()

    versions = {(text(item.get("groupId", "")), text(item.get("artifactId", ""))): item for item in managed}
    group, artifact, version = (text(values.get(f"project.{key}", "")) for key in ("groupId", "artifactId", "version"))
    if artifact and version and "${" not in version:
        yield Found("maven", artifact, version, group, declared=True)
    for item in dependencies:
        key = (text(item.get("groupId", "")), text(item.get("artifactId", "")))
        inherited = versions.get(key, {})
        version = text(item.get("version", "") or inherited.get("version", ""))
        scope = item.get("scope", "") or inherited.get("scope", "")
        if (
            version
            and "${" not in version
            and scope not in ("test", "provided", "system")
            and item.get("optional") != "true"
        ):
            exact = re.fullmatch(r"\[([^,\[\]]+)\]", version)
            if exact or not version.startswith(("[", "(")):
                yield Found("maven", key[1], exact.group(1) if exact else version, key[0], declared=True)


def _read(text: str) -> tuple[dict[str, str], list[dict[str, str]], list[dict[str, str]]]:
    """Return (properties with project.*, dependencies, managed dependencies)."""
    values: dict[str, str] = {}
    dependencies: list[dict[str, str]] = []
    managed: list[dict[str, str]] = []
    stack: list[str] = []
    current: dict[str, str] | None = None
    for closing, tag, empty, content in _TAG.findall(_COMMENT.sub("", text)):
        if closing:
            while stack and stack.pop() != tag:
                pass
            if tag == "dependency" and current is not None:
                target = managed if "dependencyManagement" in stack else dependencies
                if "plugin" not in stack and "profile" not in stack:
                    target.append(current)
                current = None
            continue
        if empty:
            continue
        stack.append(tag)
        content = content.strip()[:512]
        if tag == "dependency":
            current = {}
        elif current is not None and stack[-2:-1] == ["dependency"]:
            current[tag] = content
        elif stack[:2] == ["project", "properties"] and len(stack) == 3:
            values[tag] = content
        elif stack[0] == "project" and len(stack) == 2 and tag in ("groupId", "artifactId", "version"):
            values[f"project.{tag}"] = content
        elif stack[:2] == ["project", "parent"] and len(stack) == 3 and tag in ("groupId", "version"):
            values.setdefault(f"project.{tag}", content)
            values[f"project.parent.{tag}"] = content
        if len(stack) > 200:
            break
    return values, dependencies, managed


@analyzer(id="gradle-lock", reads=("**/gradle.lockfile",), project=True)
def gradle_lock(file: ImageFile) -> Iterator[Found]:
    """Yield `group:artifact:version=configurations` lines, those only for tests left out."""
    for line in file.text.splitlines():
        match = re.fullmatch(r"([^:#=\s]+):([^:=\s]+):([^:=\s]+)=(.*)", line.strip())
        if match:
            configurations = [name for name in match.group(4).split(",") if name]
            if not configurations or not all(name.lower().startswith("test") for name in configurations):
                yield Found("maven", match.group(2), match.group(3), match.group(1), declared=True)
