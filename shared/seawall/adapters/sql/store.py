"""Everything that is kept, behind `ports.store.Store`."""

from __future__ import annotations

from collections.abc import Callable

from seawall.adapters.sql.alerts import SqlAlerts
from seawall.adapters.sql.assessments import SqlAssessments
from seawall.adapters.sql.assets import SqlAssets
from seawall.adapters.sql.baselines import SqlBaselines
from seawall.adapters.sql.database import Database
from seawall.adapters.sql.identity import password_source
from seawall.adapters.sql.images import SqlImages
from seawall.adapters.sql.incidents import SqlIncidents
from seawall.adapters.sql.inventory_index import SqlInventoryIndex
from seawall.adapters.sql.metering import SqlMetering
from seawall.adapters.sql.migrate import migrate
from seawall.adapters.sql.outbox import SqlOutbox
from seawall.adapters.sql.poison import SqlPoison
from seawall.adapters.sql.portal import SqlPortalLinks
from seawall.adapters.sql.responses import SqlResponses
from seawall.adapters.sql.running import SqlRunning
from seawall.adapters.sql.sensors import SqlSensors
from seawall.settings import Settings


class SqlStore:
    """Opens the store and brings its tables to the newest revision."""

    def __init__(self, url: str, password: Callable[[], str] | None = None) -> None:
        self.database = Database(url, password)
        migrate(self.database)
        self.images = SqlImages(self.database)
        self.index = SqlInventoryIndex(self.database)
        self.alerts = SqlAlerts(self.database)
        self.incidents = SqlIncidents(self.database)
        self.baselines = SqlBaselines(self.database)
        self.assessments = SqlAssessments(self.database)
        self.sensors = SqlSensors(self.database)
        self.assets = SqlAssets(self.database)
        self.running = SqlRunning(self.database)
        self.outbox = SqlOutbox(self.database)
        self.poison = SqlPoison(self.database)
        self.portal = SqlPortalLinks(self.database)
        self.metering = SqlMetering(self.database)
        self.responses = SqlResponses(self.database)

    def close(self) -> None:
        """Give every connection back."""
        self.database.close()


def open_store(settings: Settings) -> SqlStore:
    """Return the store of the settings, logged in as their identity."""
    return SqlStore(settings.effective_store_url, password_source(settings))
