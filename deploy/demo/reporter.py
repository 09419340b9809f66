"""The text that the demo prints beside the commands' output: titles of steps, and what was found to be true."""

from __future__ import annotations

from rich.console import Console

from deploy.demo.cli_runner import DemoFailed


class Reporter:
    """Prints to one console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def step(self, number: int, title: str, seconds: float) -> None:
        """Print the title of a step. seconds: since the demo began."""
        self.console.print()
        self.console.rule(f"[bold]{number}. {title}[/bold] [dim]{seconds:.0f} s[/dim]", align="left")

    def good(self, what: str) -> None:
        """Print a fact that holds."""
        self.console.print(f"  [green]✓[/green] {what}", highlight=False)

    def check(self, *, condition: bool, what: str) -> None:
        """Print the fact if it holds. Raise DemoFailed if it does not."""
        if not condition:
            raise DemoFailed(f"not true: {what}")
        self.good(what)
