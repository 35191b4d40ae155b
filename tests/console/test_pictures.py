"""The console's pictures, as values."""

from __future__ import annotations

from datetime import date

from seawall.console import charts, entity_graph
from seawall.domain.alerts import Entity, EntityKind, EntityLink
from seawall.domain.severity import Severity

IP = Entity(EntityKind.IP, "203.0.113.66")
ACCOUNT = Entity(EntityKind.SERVICE_ACCOUNT, "ci/deployer", "prod")
POD = Entity(EntityKind.POD, "kube-system/a-pod-with-a-name-that-does-not-fit", "prod")


def test_boxes_stand_in_columns_by_role_and_links_of_a_pair_are_one_line() -> None:
    links = [
        EntityLink(ACCOUNT, "opened a shell in", POD),
        EntityLink(IP, "used by", ACCOUNT),
        EntityLink(ACCOUNT, "created", POD),
    ]
    picture = entity_graph.draw(links)
    assert picture is not None
    where = {box.entity: box for box in picture.boxes}
    assert where[IP].x < where[ACCOUNT].x < where[POD].x
    assert where[POD].label.startswith("…")
    assert len(where[POD].label) == 25
    assert where[POD].title == "pod kube-system/a-pod-with-a-name-that-does-not-fit in prod"
    assert sorted(line.label for line in picture.lines) == ["opened a shell in +1", "used by"]
    assert all(box.x >= 0 and box.x + entity_graph.BOX_WIDTH <= picture.width for box in picture.boxes)
    assert entity_graph.draw(links) == entity_graph.draw(list(links))


def test_nothing_to_connect_is_no_picture() -> None:
    assert entity_graph.draw([]) is None


def test_a_column_that_is_too_long_says_how_many_it_leaves_out() -> None:
    pods = [Entity(EntityKind.POD, f"shop/web-{number}", "prod") for number in range(15)]
    picture = entity_graph.draw([EntityLink(ACCOUNT, "created", pod) for pod in pods])
    assert picture is not None
    assert picture.left_out == 3
    assert len(picture.lines) == 12


def test_days_without_alerts_are_there_and_the_highest_bar_fills_the_height() -> None:
    last = date(2026, 11, 25)
    drawn = charts.days(
        [
            (date(2026, 11, 25), Severity.HIGH, 3),
            (date(2026, 11, 25), Severity.LOW, 1),
            (date(2026, 11, 24), Severity.LOW, 2),
            (date(2026, 11, 1), Severity.LOW, 9),
        ],
        last,
        7,
    )
    assert [day.day for day, _ in drawn.rows] == [19, 20, 21, 22, 23, 24, 25]
    assert drawn.most == 4
    assert drawn.rows[-1][1] == {"low": 1, "high": 3}
    today = [bar for bar in drawn.bars if bar.x > charts.WIDTH * 6 / 7]
    assert sum(bar.height for bar in today) == charts.HEIGHT
    assert min(bar.y for bar in today) == 0
    assert drawn.labels[-1][1] == "25 Nov"


def test_no_alerts_at_all() -> None:
    drawn = charts.days([], date(2026, 11, 25), 14)
    assert drawn.most == 0
    assert drawn.bars == ()
