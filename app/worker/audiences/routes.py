"""The routes of definitions (docs/contracts.md, section 4); the scope is ``audiences``."""

from __future__ import annotations

from app.http.routes import Route
from app.publish.lifecycle import Lifecycle
from app.worker.audiences.changing import ChangeRoutes
from app.worker.audiences.definitions import Definitions
from app.worker.audiences.estimating import EstimateRoutes
from app.worker.audiences.reading import ReadRoutes, Sizes
from app.worker.audiences.shown import Followed, Known


class AudienceRoutes:
    """One worker's."""

    def __init__(self, worker: Followed, sizes: Sizes) -> None:
        known = Known(worker)
        self._definitions = Definitions(worker.settings)
        self._reading = ReadRoutes(known, self._definitions, sizes)
        self._changing = ChangeRoutes(known, self._definitions, Lifecycle(worker.settings))
        self._estimating = EstimateRoutes(worker, self._definitions)
        self.paths = frozenset(each.path for each in self.routes())

    def routes(self) -> list[Route]:
        return [*self._reading.routes(), *self._changing.routes(), *self._estimating.routes()]

    def close(self) -> None:
        self._definitions.close()
