"""Noting what serves where `status` finds it, which reads no models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from swingtrader.adapters.store import Store
    from swingtrader.estimators.artifact import Artifact


def note_served(store: Store, artifact: Artifact, at: datetime) -> None:
    """Keep version, age and validation of a model that serves now."""
    manifest = artifact.manifest
    store.models.record(
        manifest.family, manifest.version, manifest.created_at, at, manifest.validation
    )
