"""An image of this tree: the one in the folder that JACKFIELD_IMAGE names, or one that is built beside the other tests.

A build takes minutes, most tests wait for something: so it starts as soon as it is known that a test wants the image,
and these tests are the last.
"""

import os
from pathlib import Path

import pytest

from tests.image.build import Build

HERE = Path(__file__).parent
BUILD = pytest.StashKey[Build]()


def wants_image(item: pytest.Item) -> bool:
    if HERE not in item.path.parents or "image" not in getattr(item, "fixturenames", ()):
        return False
    return not any(mark.args[0] for mark in item.iter_markers("skipif"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=wants_image)


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = any(map(wants_image, session.items)) and not session.config.option.collectonly
    if wanted and "JACKFIELD_IMAGE" not in os.environ:
        session.config.stash[BUILD] = Build.start()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if BUILD in session.config.stash:
        session.config.stash[BUILD].end()


@pytest.fixture(scope="session")
def image(pytestconfig: pytest.Config) -> Path:
    """A folder with the raw disk and the squashfs of the flavour vm."""
    given = os.environ.get("JACKFIELD_IMAGE")
    return Path(given) if given else pytestconfig.stash[BUILD].wait()
