"""New and worse incidents as a card in Slack (Block Kit) or Microsoft Teams (Adaptive Card 1.4, workflow webhook).

Chat is for people: one card when an incident appears or gets worse, none for every further piece of evidence. Text from
events is shown as text: Slack's control characters are escaped, Adaptive Card text blocks get no Markdown from it.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from seawall.adapters.rest import retry_after
from seawall.app.publishing import outcome_of
from seawall.domain.alerts import Alert, Incident
from seawall.domain.errors import Denied, InputError, NotFound, SeawallError, Unavailable
from seawall.domain.publishing import DONE, Kind, Outcome, State, incident_of
from seawall.domain.severity import Severity
from seawall.ports.clock import Clock
from seawall.ports.outbox import Outbox, OutboxEntry
from seawall.settings import ChatSettings, Settings

_COLOUR = {
    Severity.CRITICAL: "attention",
    Severity.HIGH: "attention",
    Severity.MEDIUM: "warning",
    Severity.LOW: "accent",
    Severity.INFORMATIONAL: "default",
    Severity.UNKNOWN: "default",
}
_ALERTS = 5

Card = Callable[[Incident, Sequence[Alert], str], dict[str, Any]]


class ChatPublisher:
    """Fulfils `ports.publisher.BatchPublisher`."""

    kinds = frozenset({Kind.INCIDENT})

    def __init__(self, name: str, settings: ChatSettings, card: Card, outbox: Outbox) -> None:
        self.id = name
        self._card, self._outbox = card, outbox
        self._url, self._console = settings.url.get_secret_value(), settings.console_url.rstrip("/")
        self._minimum = Severity.parse(settings.minimum)
        verify: Any = ssl.create_default_context(cafile=str(settings.ca_file)) if settings.ca_file else True
        self._client = httpx.Client(timeout=15, verify=verify)

    def publish_batch(self, entries: Sequence[OutboxEntry]) -> list[Outcome]:
        """See the port. After a refusal for being too fast the rest waits as long as it was told to."""
        outcomes: list[Outcome] = []
        wait: Outcome | None = None
        for entry in entries:
            outcome = wait or self._one(entry)
            if outcome.state is State.RETRY:
                wait = outcome
            outcomes.append(outcome)
        return outcomes

    def _one(self, entry: OutboxEntry) -> Outcome:
        try:
            incident, alerts = incident_of(entry.body)
            if not self._tells(entry, incident):
                return DONE
            link = f"{self._console}/incidents/{incident.id}" if self._console else ""
            self._post(self._card(incident, alerts, link))
        except SeawallError as error:
            return outcome_of(error)
        return Outcome(State.DONE, units=1)

    def _tells(self, entry: OutboxEntry, incident: Incident) -> bool:
        if incident.severity < self._minimum or incident.status == "closed" or incident.merged_into:
            return False
        before = self._outbox.latest(self.id, Kind.INCIDENT, entry.subject, below_seq=entry.seq, min_units=1)
        return before is None or incident.severity > incident_of(before.body)[0].severity

    def _post(self, card: dict[str, Any]) -> None:
        try:
            answer = self._client.post(self._url, json=card)
        except httpx.HTTPError as error:
            raise Unavailable(f"{self.id}: {type(error).__name__}") from error
        if answer.is_success:
            return
        what = f"{self.id} answered {answer.status_code}"  # the URL is the secret: it stays out
        if answer.status_code in (401, 403):
            raise Denied(what, hint="make a new webhook")
        if answer.status_code in (404, 410):
            raise NotFound(what, hint="the webhook is gone: make a new one")
        if answer.status_code in (408, 429) or answer.status_code >= 500:
            raise Unavailable(what, retry_after_s=retry_after(answer.headers.get("Retry-After")))
        raise InputError(what)


def slack_card(incident: Incident, alerts: Sequence[Alert], link: str) -> dict[str, Any]:
    """Return a Slack message. Limits: 150 characters in a header, 3,000 in a section."""
    facts = "\n".join(f"*{name}:* {_slack(value)}" for name, value in _facts(incident))
    steps = "\n".join(f"• {_slack(alert.message)}" for alert in alerts[:_ALERTS])
    title = f"{incident.severity.label.capitalize()}: {incident.title}"
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title[:150]}},
        {"type": "section", "text": {"type": "mrkdwn", "text": facts[:3000]}},
    ]
    if steps:
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": steps[:3000]}})
    if link:
        button = {"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": link}
        blocks.append({"type": "actions", "elements": [button]})
    return {"text": _slack(title)[:3000], "blocks": blocks}


def teams_card(incident: Incident, alerts: Sequence[Alert], link: str) -> dict[str, Any]:
    """Return the message of a Teams workflow webhook with one Adaptive Card."""
    title = f"{incident.severity.label.capitalize()}: {incident.title}"
    heading = {"type": "TextBlock", "size": "Large", "weight": "Bolder", "wrap": True, "text": _teams(title)}
    body: list[dict[str, Any]] = [
        heading | {"color": _COLOUR[incident.severity]},
        {"type": "FactSet", "facts": [{"title": name, "value": _teams(value)} for name, value in _facts(incident)]},
        *({"type": "TextBlock", "wrap": True, "text": _teams(alert.message)} for alert in alerts[:_ALERTS]),
    ]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    if link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open", "url": link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _facts(incident: Incident) -> list[tuple[str, str]]:
    facts = [
        ("Clusters", ", ".join(incident.clusters)),
        ("Actors", ", ".join(incident.actors)),
        ("Techniques", ", ".join(incident.attack)),
        ("Alerts", str(len(incident.alert_ids))),
        ("From", f"{incident.first_seen:%Y-%m-%d %H:%M:%S} UTC"),
        ("To", f"{incident.last_seen:%Y-%m-%d %H:%M:%S} UTC"),
        ("Next", incident.next_steps[0] if incident.next_steps else ""),
    ]
    return [(name, value[:500]) for name, value in facts if value]


def _slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _teams(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~])", r"\\\1", text)


def slack(settings: Settings, outbox: Outbox, clock: Clock) -> ChatPublisher:  # noqa: ARG001 - every factory has this form
    """Return the Slack publisher that the settings describe."""
    assert settings.slack is not None
    return ChatPublisher("slack", settings.slack, slack_card, outbox)


def teams(settings: Settings, outbox: Outbox, clock: Clock) -> ChatPublisher:  # noqa: ARG001 - every factory has this form
    """Return the Teams publisher that the settings describe."""
    assert settings.teams is not None
    return ChatPublisher("teams", settings.teams, teams_card, outbox)
