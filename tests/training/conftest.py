import os

import pytest


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process loses nothing that it wrote, synced or not; test_fsio.py holds the order of syncs."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
