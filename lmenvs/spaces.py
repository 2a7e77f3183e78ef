"""The space of every Unicode string, and the way its values travel between processes.

Gymnasium's `Text` refuses characters outside its character set and the empty string, and
`AsyncVectorEnv` reads a `Text` from shared memory only once. `AnyText` registers its own shared
memory with gymnasium's single-dispatch functions: per environment a byte buffer and a length, read
by a sequence that looks at the memory anew each time, so that async mode returns what sync returns.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, overload

import gymnasium
import numpy as np
from gymnasium.vector.utils import shared_memory as gym_memory

BUFFER_BYTES = 1 << 18  # per environment in async mode; a 100 kB observation fits
_ALPHABET = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    " .,?!'\"-\n\tàéñßøłжяλאم日本語🎲🙂"
)


class AnyText(gymnasium.Space[str]):
    """Every Unicode string, the empty one too. `sample()` draws short strings in many scripts.

    Args:
        buffer_bytes: Room for one observation in UTF-8 when async environments share memory.
        seed: Seeds `sample()`.
    """

    def __init__(
        self, buffer_bytes: int = BUFFER_BYTES, seed: int | np.random.Generator | None = None
    ):
        self.buffer_bytes = buffer_bytes
        super().__init__(dtype=np.str_, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Text has no fixed-size array form."""
        return False

    def sample(self, mask: None = None, probability: None = None) -> str:
        """A random string of 0 to 20 characters."""
        if mask is not None or probability is not None:
            raise ValueError("AnyText.sample takes no mask and no probability; call sample()")
        length = int(self.np_random.integers(0, 21))
        picks = self.np_random.integers(0, len(_ALPHABET), size=length)
        return "".join(_ALPHABET[i] for i in picks)

    def contains(self, x: object) -> bool:
        """Every str is in the space."""
        return isinstance(x, str)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnyText) and other.buffer_bytes == self.buffer_bytes

    def __hash__(self) -> int:
        return hash(("AnyText", self.buffer_bytes))

    def __repr__(self) -> str:
        return "AnyText()"


class _SharedTexts(Sequence[str]):
    """The texts of n environments in shared memory, read afresh at each access."""

    def __init__(self, space: AnyText, memory: Any, n: int):
        self._size = space.buffer_bytes
        self._lengths, self._bytes = memory
        self._n = n

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self)[index]
        if not -self._n <= index < self._n:
            raise IndexError(f"index {index} for {self._n} environments")
        index %= self._n
        start = index * self._size
        view = memoryview(self._bytes.get_obj()).cast("B")
        return bytes(view[start : start + self._lengths[index]]).decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(self._n))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # the contents change with every step

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __deepcopy__(self, memo: dict[int, Any]) -> tuple[str, ...]:
        return tuple(self)  # what a vector environment hands out must not change under the user


@gym_memory.create_shared_memory.register(AnyText)
def _create(space: AnyText, n: int = 1, ctx: ModuleType = multiprocessing) -> Any:
    return (ctx.Array("q", n), ctx.Array("B", n * space.buffer_bytes))


@gym_memory.write_to_shared_memory.register(AnyText)
def _write(space: AnyText, index: int, value: str, shared_memory: Any) -> None:
    lengths, buffer = shared_memory
    encoded = value.encode("utf-8", "surrogatepass")
    if len(encoded) > space.buffer_bytes:
        raise ValueError(
            f"observation of {len(encoded)} bytes, but {space.buffer_bytes} bytes of shared memory "
            "per environment; pass shared_memory=False in vector_kwargs to gym.make_vec"
        )
    start = index * space.buffer_bytes
    memoryview(buffer.get_obj()).cast("B")[start : start + len(encoded)] = encoded
    lengths[index] = len(encoded)


@gym_memory.read_from_shared_memory.register(AnyText)
def _read(space: AnyText, shared_memory: Any, n: int = 1) -> Any:  # gymnasium lists its own types
    return _SharedTexts(space, shared_memory, n)
