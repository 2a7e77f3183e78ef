"""One thread: quickest for models this small, and the same numbers on every machine."""

from collections.abc import Iterator

import pytest

from algorithms.support import set_threads


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    set_threads(1)
    yield
    set_threads(before)
