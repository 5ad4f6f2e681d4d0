"""The placement fixture: the two parties of a test in one interpreter, in main and a child, or in two children."""

from collections.abc import Iterator

import pytest

from tests.placements import PLACEMENTS, Placement, opened


@pytest.fixture(scope="module", params=PLACEMENTS)
def places(request: pytest.FixtureRequest) -> Iterator[Placement]:
    yield from opened(request.param)


@pytest.fixture
def placement(places: Placement) -> Placement:
    places.fresh()
    return places
