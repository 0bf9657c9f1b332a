"""What a terminal shows: plain text, in which names and messages mean nothing but themselves."""

import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

from benchmark.errors import UserError
from benchmark.report.left_out import Shown, lines

WIDTH = 140
Result = TypeVar("Result")
# Control characters by their pictures; what changes the direction of text, by a mark.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}
_HIDDEN = (*range(0x80, 0xA0), 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_VISIBLE = _PICTURES | dict.fromkeys(_HIDDEN, 0xFFFD)


def visible(text: str) -> str:
    """The text with its control characters made visible, but for line breaks and tabs."""
    return text.translate(_VISIBLE)


class PlainConsole(Console):
    """A console that reads no markup, links, emoji names or escapes in what it prints."""

    def __init__(self, width: int | None) -> None:
        super().__init__(width=width, markup=False, emoji=False)

    def render_str(self, text: str, **settings: Any) -> Text:  # noqa: ANN401 - rich's own
        """The text, of the width that it will be shown with."""
        settings.update(markup=False, emoji=False)
        return super().render_str(visible(text), **settings)


class _Visible:
    def __init__(self, content: RenderableType) -> None:
        self.content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for text, style, control in console.render(self.content, options):
            yield Segment(text if control else visible(text), style, control)


def show(content: RenderableType) -> None:
    """Print to the standard output."""
    # Away from a terminal nothing says how wide lines may be; rich would guess 80.
    console = PlainConsole(width=None if sys.stdout.isatty() else WIDTH)
    console.print(_Visible(content))


def show_whole(content: RenderableType) -> bool:
    """Print what a verb gives, and whether it is whole: what it leaves out is named."""
    show(content)
    left_out = lines(content) if isinstance(content, Shown) else []
    for line in left_out:
        warn(line)
    return not left_out


def or_refuse(action: Callable[[], Result]) -> Result:
    """What the action gives; a mistake of the user's ends the command with one line and 2."""
    try:
        return action()
    except UserError as error:
        refuse(str(error))


def refuse(message: str) -> NoReturn:
    """End the command with one line and 2."""
    # An exception would pass through Hydra, which prints a traceback; leaving quietly does not.
    warn(message)
    sys.exit(2)


def warn(message: str) -> None:
    """One line on the standard error."""
    sys.stderr.write(f"ablation-bench: {visible(' '.join(message.splitlines()))}\n")
