"""The scenes in which gradients are compared."""

import pytest

from tests.support.enumeration import SCENES, Scene, scene


@pytest.fixture(params=SCENES)
def of(request: pytest.FixtureRequest) -> Scene:
    """Each of the environments in which everything is known."""
    return scene(request.param)
