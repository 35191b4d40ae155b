"""Every destination of published documents. A row is all that a new publisher needs, beside its module and settings."""

from __future__ import annotations

from seawall.ports.publisher import Destination

DESTINATIONS = (
    Destination(
        "sentinel",
        "Microsoft Sentinel and Defender XDR, by Logs Ingestion and analytics rules",
        "seawall.adapters.azure.sentinel:publisher",
        extra="azure",
    ),
    Destination(
        "sentinel_incidents",
        "Microsoft Sentinel incidents by API, for workspaces outside the Defender portal",
        "seawall.adapters.azure.sentinel_incidents:publisher",
        extra="azure",
    ),
    Destination(
        "indicators",
        "Microsoft Sentinel threat intelligence (STIX)",
        "seawall.adapters.azure.indicators:publisher",
        extra="azure",
    ),
    Destination("hub", "Another Seawall's Event Hubs", "seawall.adapters.azure.hub:publisher", extra="azure"),
    Destination("security_hub", "AWS Security Hub (ASFF)", "seawall.adapters.aws.security_hub:publisher", extra="aws"),
    Destination(
        "security_command_center",
        "Google Security Command Center",
        "seawall.adapters.gcp.security_command_center:publisher",
        extra="gcp",
    ),
    Destination("webhook", "Signed CloudEvents over HTTP", "seawall.adapters.publishers.webhook:publisher"),
    Destination("ocsf_file", "OCSF JSON lines in a local file", "seawall.adapters.publishers.ocsf_file:publisher"),
    Destination("slack", "Slack incoming webhook", "seawall.adapters.publishers.chat:slack"),
    Destination("teams", "Microsoft Teams workflow webhook", "seawall.adapters.publishers.chat:teams"),
    Destination("syslog", "CEF over syslog", "seawall.adapters.publishers.syslog:publisher"),
    Destination(
        "ocsf_storage", "OCSF JSON lines in object storage", "seawall.adapters.publishers.ocsf_storage:publisher"
    ),
)
