"""The messages between a parent and its worker: pickles in frames. Both run one version of one program.

A pickle is read only from a process that this program forked itself. Large texts travel beside it as they are
(`_LARGE`), in pieces, so that a frame of any size costs the event loop no more than a few copies of small ones.

A frame: the number of texts that follow, the length of each, the texts. The first is the pickle.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

COUNT: Final = struct.Struct("!I")
LENGTH: Final = struct.Struct("!Q")
ORDER: Final = struct.Struct("!ciQ")  # to the template: what, niceness or process id, bytes of memory
BORN: Final = struct.Struct("!i")  # from the template: the new worker's process id
FORK, KILL = b"F", b"K"
MEMORY: Final = "memory"  # an answer: the work exceeded a limit
PIECE: Final = 256 << 10  # bytes that are written or read at once
_LARGE: Final = 128 << 10  # bytes of a text that is not copied into the pickle

Frame = Sequence[bytes]


def question(function: Callable[..., Any], arguments: tuple[Any, ...], seconds: float) -> Frame:
    """Return the frame for a piece of work. function: of a module, a coroutine or not. seconds: that it may take."""
    return _framed((function, arguments, seconds))


def answer(value: object = None, error: BaseException | None = None, over: str = "") -> Frame:
    """Return the frame for the result of a piece of work: its value, what it raised, or the limit that it exceeded."""
    if error is not None:
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - made in this line
        except Exception:  # noqa: BLE001 - an exception of any class may be one that cannot be pickled
            error = RuntimeError(f"{type(error).__name__} in a worker")
    return _framed((value, error, over))


def load(texts: Sequence[bytes]) -> Any:
    """Return the content of a frame from its texts."""
    return _Unpickler(texts).load()


def head(frame: Frame) -> bytes:
    """Return the bytes before the texts."""
    return COUNT.pack(len(frame)) + b"".join([LENGTH.pack(len(text)) for text in frame])


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.large: list[bytes] = []

    def persistent_id(self, value: Any) -> int | None:
        """Return the place of a large text among those beside the pickle."""
        if type(value) is not bytes or len(value) < _LARGE:
            return None
        self.large.append(value)
        return len(self.large)


class _Unpickler(pickle.Unpickler):
    def __init__(self, texts: Sequence[bytes]) -> None:
        super().__init__(io.BytesIO(texts[0]))
        self._texts = texts

    def persistent_load(self, place: Any) -> bytes:
        """Return the text at a place."""
        text: bytes = self._texts[place]
        return text


def _framed(value: object) -> Frame:
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(value)
    return [file.getvalue(), *pickler.large]
