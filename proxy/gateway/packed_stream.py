"""Large answers in VelocyPack: the elements of an answer that waits on disk are encoded one by one, to disk again.

The array, and an object around it, are compact: their lengths come first, and are known when all elements are encoded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from proxy.base.spool import PIECE, SpooledAnswer
from proxy.semantics.body_parts import array_parts
from proxy.wire.velocypack_writer import compact_ends, encode, encode_printed, printed_value

_PART: Final = 32 << 10  # bytes of JSON that are encoded between two turns of the event loop
_ELEMENTS: Final = 1000  # likewise
_ARRAY, _OBJECT = 0x13, 0x14


async def packed_answer(answer: SpooledAnswer) -> SpooledAnswer:
    """Return the answer in VelocyPack. Raise ArangoError: 600 if it is not JSON, 32 if the spools are full."""
    spool, count = answer.spool.space.new(), 0
    for part in array_parts(_text(answer), _PART, _ELEMENTS):
        for element in printed_value(part.text):
            spool.append(encode_printed(element))
            count += 1
        await asyncio.sleep(0)
    head, end = compact_ends(_ARRAY, spool.size, count) if count else (encode([]), b"")
    if answer.before[:1] == b"[":
        return SpooledAnswer(spool, head, end)
    first, whole = list(printed_value(answer.before + b"]}")), printed_value(answer.before + answer.after)
    members = [encode(name) + encode_printed(whole[name]) for name in whole if name != first[-1]]
    place = len(first) - 1
    before = b"".join(members[:place]) + encode(first[-1]) + head
    after = end + b"".join(members[place:])
    opening, closing = compact_ends(_OBJECT, len(before) + spool.size + len(after), len(whole))
    return SpooledAnswer(spool, opening + before, after + closing)


def _text(answer: SpooledAnswer) -> Iterator[bytes]:
    """Yield the text of the array in pieces."""
    yield b"["
    for begin in range(answer.begin, answer.end, PIECE):
        yield answer.spool.read(begin, min(begin + PIECE, answer.end))
    yield b"]"
