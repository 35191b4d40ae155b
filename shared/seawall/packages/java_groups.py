"""Maven groups of libraries whose jars carry no `pom.properties` (Gradle builds, Spring, older Apache ones).

Well-known ones by a table: exact artifact ids first, then families by prefix, the longest first. Others by the folder that
holds their classes.

Source: Maven Central, the coordinates that each project publishes under.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_EXACT = {
    "ant": "org.apache.ant",
    "antlr": "antlr",
    "asm": "org.ow2.asm",
    "bsh": "org.beanshell",
    "catalina": "org.apache.tomcat",
    "commons-beanutils": "commons-beanutils",
    "commons-beanutils-core": "commons-beanutils",
    "commons-chain": "commons-chain",
    "commons-cli": "commons-cli",
    "commons-codec": "commons-codec",
    "commons-collections": "commons-collections",
    "commons-configuration": "commons-configuration",
    "commons-daemon": "commons-daemon",
    "commons-dbcp": "commons-dbcp",
    "commons-digester": "commons-digester",
    "commons-discovery": "commons-discovery",
    "commons-el": "commons-el",
    "commons-fileupload": "commons-fileupload",
    "commons-httpclient": "commons-httpclient",
    "commons-io": "commons-io",
    "commons-jxpath": "commons-jxpath",
    "commons-lang": "commons-lang",
    "commons-launcher": "commons-launcher",
    "commons-logging": "commons-logging",
    "commons-net": "commons-net",
    "commons-pool": "commons-pool",
    "commons-primitives": "commons-primitives",
    "commons-validator": "commons-validator",
    "commons-vfs": "commons-vfs",
    "coyote": "org.apache.tomcat",
    "dom4j": "org.dom4j",
    "fastjson": "com.alibaba",
    "groovy": "org.codehaus.groovy",
    "groovy-all": "org.codehaus.groovy",
    "gson": "com.google.code.gson",
    "guava": "com.google.guava",
    "h2": "com.h2database",
    "hibernate-validator": "org.hibernate.validator",
    "httpclient": "org.apache.httpcomponents",
    "httpcore": "org.apache.httpcomponents",
    "jackson-annotations": "com.fasterxml.jackson.core",
    "jackson-core": "com.fasterxml.jackson.core",
    "jackson-databind": "com.fasterxml.jackson.core",
    "jetty-all": "org.eclipse.jetty.aggregate",
    "jetty-all-server": "org.eclipse.jetty.aggregate",
    "jdom": "org.jdom",
    "jdom2": "org.jdom",
    "json": "org.json",
    "json-path": "com.jayway.jsonpath",
    "json-sanitizer": "com.mikesamuel",
    "json-smart": "net.minidev",
    "jsoup": "org.jsoup",
    "junit": "junit",
    "log4j": "log4j",
    "mysql-connector-j": "com.mysql",
    "mysql-connector-java": "mysql",
    "nimbus-jose-jwt": "com.nimbusds",
    "ognl": "ognl",
    "okhttp": "com.squareup.okhttp3",
    "okio": "com.squareup.okio",
    "oro": "oro",
    "postgresql": "org.postgresql",
    "protobuf-java": "com.google.protobuf",
    "reactor-core": "io.projectreactor",
    "servlet-api": "javax.servlet",
    "shiro-core": "org.apache.shiro",
    "snakeyaml": "org.yaml",
    "spring-graphql": "org.springframework.graphql",
    "spring-hateoas": "org.springframework.hateoas",
    "spring-retry": "org.springframework.retry",
    "spring-security-oauth2": "org.springframework.security.oauth",
    "spring-xml": "org.springframework.ws",
    "struts": "struts",
    "tomcat-jdbc": "org.apache.tomcat",
    "velocity": "org.apache.velocity",
    "xalan": "xalan",
    "xercesImpl": "xerces",
    "xml-apis": "xml-apis",
    "xstream": "com.thoughtworks.xstream",
    "zip4j": "net.lingala.zip4j",
    "zookeeper": "org.apache.zookeeper",
}
_PREFIXES = {
    "activemq-": "org.apache.activemq",
    "ant-": "org.apache.ant",
    "batik-": "org.apache.xmlgraphics",
    "bcpkix-": "org.bouncycastle",
    "bcprov-": "org.bouncycastle",
    "commons-": "org.apache.commons",
    "hibernate-": "org.hibernate",
    "jackson-dataformat-": "com.fasterxml.jackson.dataformat",
    "jackson-datatype-": "com.fasterxml.jackson.datatype",
    "jackson-module-": "com.fasterxml.jackson.module",
    "jetty-": "org.eclipse.jetty",
    "jetty-http2-": "org.eclipse.jetty.http2",
    "kotlin-": "org.jetbrains.kotlin",
    "log4j-": "org.apache.logging.log4j",
    "logback-": "ch.qos.logback",
    "lucene-": "org.apache.lucene",
    "micrometer-": "io.micrometer",
    "netty-": "io.netty",
    "poi-": "org.apache.poi",
    "reactor-netty": "io.projectreactor.netty",
    "slf4j-": "org.slf4j",
    "spring-": "org.springframework",
    "spring-ai-": "org.springframework.ai",
    "spring-amqp": "org.springframework.amqp",
    "spring-batch-": "org.springframework.batch",
    "spring-boot": "org.springframework.boot",
    "spring-cloud-": "org.springframework.cloud",
    "spring-data-": "org.springframework.data",
    "spring-integration-": "org.springframework.integration",
    "spring-kafka": "org.springframework.kafka",
    "spring-ldap-": "org.springframework.ldap",
    "spring-plugin-": "org.springframework.plugin",
    "spring-rabbit": "org.springframework.amqp",
    "spring-security-": "org.springframework.security",
    "spring-session-": "org.springframework.session",
    "spring-shell-": "org.springframework.shell",
    "spring-social-": "org.springframework.social",
    "spring-statemachine-": "org.springframework.statemachine",
    "spring-vault-": "org.springframework.vault",
    "spring-webflow": "org.springframework.webflow",
    "spring-ws-": "org.springframework.ws",
    "struts2-": "org.apache.struts",
    "tomcat-": "org.apache.tomcat",
    "tomcat-embed-": "org.apache.tomcat.embed",
    "undertow-": "io.undertow",
}


def known_group(artifact: str) -> str:
    """Return the group of a well-known artifact, empty where we do not know it."""
    if (group := _EXACT.get(artifact)) is not None:
        return group
    matching = [prefix for prefix in _PREFIXES if artifact.startswith(prefix)]
    return _PREFIXES[max(matching, key=len)] if matching else ""


MAX_DEPTH = 16
"""Folders deep that a group may lie; a hostile name has thousands of parts."""
MOST = 0.9
"""Share of a jar's classes that lie below the folder which names its project."""


def group_of_classes(names: Iterable[str], artifact: str) -> str:
    """Return the group as the classes' folder says it: org.apache.kafka for kafka-clients; empty where it does not.

    `names` are the members of the jar. The folder that most classes share is cut behind the first of its parts that the
    artifact's name has too.
    """
    folders = Counter(
        name.rpartition("/")[0]
        for name in names
        if name.endswith(".class") and not name.startswith(("META-INF/", "WEB-INF/", "BOOT-INF/"))
    )
    shared = _shared([(folder.split("/", MAX_DEPTH)[:MAX_DEPTH], count) for folder, count in folders.items()])
    for word in re.split(r"[-_.]", artifact):
        if word in shared:
            return ".".join(shared[: shared.index(word) + 1])
    return ""


def _shared(folders: list[tuple[list[str], int]]) -> list[str]:
    """The longest path below which most of the classes are."""
    least = MOST * sum(count for _, count in folders)
    shared: list[str] = []
    while folders:
        folders = [item for item in folders if len(item[0]) > len(shared)]
        parts: Counter[str] = Counter()
        for path, count in folders:
            parts[path[len(shared)]] += count
        part, count = parts.most_common(1)[0] if parts else ("", 0)
        if not part or count < least:
            break
        shared.append(part)
        folders = [item for item in folders if item[0][len(shared) - 1] == part]
    return shared
