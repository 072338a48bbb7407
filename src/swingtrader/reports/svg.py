"""How a figure becomes an SVG element of a page, and the colours all figures share.

Choices: matplotlib's object interface only, so that nothing is global and nothing needs a
display; matplotlib's own defaults rather than the machine's settings, so that the same arrays
always give the same bytes; text stays text, so that it can be searched, copied and read aloud;
colours become CSS variables with the light palette as their fallback, so that the page decides
between light and dark. The palette is Okabe and Ito's (2008), told apart by the colour-blind;
lines also differ in their dashes, and bars in their sign.
"""

from __future__ import annotations

import io
import re
import warnings
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")

INK, MUTED, GRID = "#2b3138", "#68707a", "#e3e6ea"
LINES = (("#0072b2", "-"), ("#d55e00", "-"), ("#009e73", (0, (4, 1))))
"""Colour and dashes of the strategy, the benchmark and the equal-weighted universe."""
GAIN, LOSS = "#0072b2", "#d55e00"

_CSS_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    **{colour: f"--line-{n}" for n, (colour, _) in enumerate(LINES)},
}
_WIDTH_INCHES = 9.0
_LEFT, _RIGHT = 0.085, 0.885


@contextmanager
def _defaults() -> Iterator[None]:
    with mpl.rc_context(), warnings.catch_warnings():
        # matplotlib's own font only measures; the browser draws the text with its own fonts.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(
            {
                **dict.fromkeys(("figure.facecolor", "axes.facecolor"), "none"),
                **dict.fromkeys(("axes.edgecolor", "axes.labelcolor"), MUTED),
                **dict.fromkeys(("xtick.color", "ytick.color"), MUTED),
                **dict.fromkeys(("text.color", "xtick.labelcolor", "ytick.labelcolor"), INK),
                **dict.fromkeys(("axes.spines.left", "axes.spines.right"), False),
                **dict.fromkeys(("axes.spines.top", "ytick.left"), False),
                "axes.axisbelow": True,
                "axes.grid": True,
                "axes.grid.axis": "y",
                "date.converter": "concise",
                "figure.dpi": 72,  # one dot, one point
                "font.size": 8.5,
                "grid.color": GRID,
                "grid.linewidth": 0.7,
                "lines.linewidth": 0.9,
                "svg.fonttype": "none",
                "text.parse_math": False,  # a benchmark may have a $ in its name
            }
        )
        yield


def _inline(svg: str, label: str) -> str:
    """Make matplotlib's document an element of a page: no prolog, namespaces or loose ids."""
    body = svg[svg.index("<svg") :]
    view_box = re.search(r'viewBox="([^"]+)"', body)
    if view_box is None:
        raise ValueError("matplotlib wrote an SVG without a viewBox")
    body = body[body.index(">") + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r' id="[A-Za-z0-9.]+_\d+"| font-family: [^;]+;', "", body)
    body = body.replace("xlink:href", "href")
    body = re.sub(  # a hundredth of a point is finer than any screen
        r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path.group()), body
    )
    for colour, variable in _CSS_VARIABLES.items():
        body = body.replace(colour, f"var({variable}, {colour})")
    return (
        f'<svg class="chart" viewBox="{view_box.group(1)}" role="img" aria-label="{label}" '
        f'stroke-linejoin="round" stroke-linecap="butt">{body.strip()}'
    )


def chart(
    label: str, height_inches: float
) -> Callable[[Callable[Concatenate[Figure, P], None]], Callable[P, str]]:
    """Turn a function that draws on a figure into one that returns an SVG element."""

    def decorate(draw: Callable[Concatenate[Figure, P], None]) -> Callable[P, str]:
        @wraps(draw)
        def drawn(*args: P.args, **kwargs: P.kwargs) -> str:
            document = io.StringIO()
            with _defaults():
                mpl.rcParams["svg.hashsalt"] = label
                figure = Figure(figsize=(_WIDTH_INCHES, height_inches))
                figure.subplots_adjust(
                    left=_LEFT,
                    right=_RIGHT,
                    bottom=0.36 / height_inches,
                    top=1 - 0.12 / height_inches,
                )
                draw(figure, *args, **kwargs)
                figure.savefig(document, format="svg", metadata={"Date": None})
            return _inline(document.getvalue(), label)

        return drawn

    return decorate
