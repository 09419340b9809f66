"""Control characters of printed values: documents, attributes and queries of clients reach an operator's terminal.

There an escape sequence could change the title, recolour or hide lines, or in some terminals send input. Each control
character but tab and line break is printed as U+FFFD. `--json` output escapes them itself.
"""

from __future__ import annotations

from typing import Final

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.measure import Measurement
from rich.segment import Segment

_REPLACED: Final = {code: "\ufffd" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}


def printable(text: str) -> str:
    """Return the text with U+FFFD in place of control characters."""
    return text.translate(_REPLACED)


class PrintableOnly(RenderHook):
    """Prints through a console without control characters; the console's own colours and cursor movements stay."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Printable(renderable) for renderable in renderables]


class _Printable:
    def __init__(self, renderable: ConsoleRenderable) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._renderable)
