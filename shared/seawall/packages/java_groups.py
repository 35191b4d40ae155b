"""Maven groups of well-known libraries whose jars carry no `pom.properties` (Gradle builds, Spring, older Apache ones).

Exact artifact ids first, then families by prefix, the longest first.

Source: Maven Central, the coordinates that each project publishes under.
"""

from __future__ import annotations

_EXACT = {
    "ant": "org.apache.ant",
    "antlr": "antlr",
    "asm": "org.ow2.asm",
    "catalina": "org.apache.tomcat",
    "commons-beanutils": "commons-beanutils",
    "commons-cli": "commons-cli",
    "commons-codec": "commons-codec",
    "commons-collections": "commons-collections",
    "commons-dbcp": "commons-dbcp",
    "commons-fileupload": "commons-fileupload",
    "commons-httpclient": "commons-httpclient",
    "commons-io": "commons-io",
    "commons-lang": "commons-lang",
    "commons-logging": "commons-logging",
    "commons-net": "commons-net",
    "dom4j": "org.dom4j",
    "fastjson": "com.alibaba",
    "groovy": "org.codehaus.groovy",
    "gson": "com.google.code.gson",
    "guava": "com.google.guava",
    "h2": "com.h2database",
    "hibernate-validator": "org.hibernate.validator",
    "httpclient": "org.apache.httpcomponents",
    "httpcore": "org.apache.httpcomponents",
    "jackson-annotations": "com.fasterxml.jackson.core",
    "jackson-core": "com.fasterxml.jackson.core",
    "jackson-databind": "com.fasterxml.jackson.core",
    "jdom": "org.jdom",
    "jdom2": "org.jdom",
    "json": "org.json",
    "json-path": "com.jayway.jsonpath",
    "json-smart": "net.minidev",
    "jsoup": "org.jsoup",
    "log4j": "log4j",
    "mysql-connector-java": "mysql",
    "mysql-connector-j": "com.mysql",
    "nimbus-jose-jwt": "com.nimbusds",
    "okhttp": "com.squareup.okhttp3",
    "okio": "com.squareup.okio",
    "ognl": "ognl",
    "postgresql": "org.postgresql",
    "protobuf-java": "com.google.protobuf",
    "reactor-core": "io.projectreactor",
    "shiro-core": "org.apache.shiro",
    "snakeyaml": "org.yaml",
    "tomcat-jdbc": "org.apache.tomcat",
    "velocity": "org.apache.velocity",
    "xalan": "xalan",
    "xercesImpl": "xerces",
    "xstream": "com.thoughtworks.xstream",
    "zookeeper": "org.apache.zookeeper",
}
_PREFIXES = {
    "activemq-": "org.apache.activemq",
    "bcpkix-": "org.bouncycastle",
    "bcprov-": "org.bouncycastle",
    "commons-": "org.apache.commons",
    "hibernate-": "org.hibernate",
    "jackson-dataformat-": "com.fasterxml.jackson.dataformat",
    "jackson-datatype-": "com.fasterxml.jackson.datatype",
    "jackson-module-": "com.fasterxml.jackson.module",
    "jetty-": "org.eclipse.jetty",
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
    "spring-batch-": "org.springframework.batch",
    "spring-boot": "org.springframework.boot",
    "spring-cloud-": "org.springframework.cloud",
    "spring-data-": "org.springframework.data",
    "spring-integration-": "org.springframework.integration",
    "spring-kafka": "org.springframework.kafka",
    "spring-security-": "org.springframework.security",
    "spring-session-": "org.springframework.session",
    "spring-amqp": "org.springframework.amqp",
    "spring-rabbit": "org.springframework.amqp",
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
