"""SVG figures that follow the light or dark theme of the browser.

An SVG image can query whether the reader prefers dark pages. Its style sheet replaces each colour of the light theme by
that of the dark one, on screens only, not in print.
"""

from __future__ import annotations

import re
from functools import cache

from matplotlib import colormaps
from matplotlib.colors import to_hex

from elastic.figures.style import SEQUENTIAL, THEMES, blended

#: Largest number of shades of ordered lines to map, and steps between paper and ink.
COUNTS, STEPS = range(1, 33), 256

_COLOUR = re.compile(r"(fill|stroke): (#[0-9a-f]{6})")


def themed(svg: str) -> str:
    """Add a style sheet for dark pages to an SVG of matplotlib.

    Parameters
    ----------
    svg
        SVG in the light theme. Colour maps should be rasterised, so that they stay unchanged.

    Examples
    --------
    >>> drawn = '<svg xmlns="http://www.w3.org/2000/svg"><path style="fill: #ffffff; stroke: #0072b2"/></svg>'
    >>> print(themed(drawn)[40:135])
    <style>@media screen and (prefers-color-scheme: dark){svg{fill:#e9e7e1}[style*="fill: #ffffff"]
    """
    known = counterparts()
    used = sorted({(kind, colour) for kind, colour in _COLOUR.findall(svg) if known.get(colour, colour) != colour})
    rules = "".join(f'[style*="{kind}: {colour}"]{{{kind}:{known[colour]}!important}}' for kind, colour in used)
    sheet = f"@media screen and (prefers-color-scheme: dark){{svg{{fill:{THEMES['dark'].ink}}}{rules}}}"
    return re.sub(r"<svg\b[^>]*>", lambda opening: f"{opening[0]}<style>{sheet}</style>", svg, count=1)


@cache
def counterparts() -> dict[str, str]:
    """Return the colour of the dark theme for each one of the light theme that figures use, both as ``#rrggbb``.

    >>> counterparts()["#000000"], counterparts()["#440154"]        # ink; the last of ordered lines
    ('#e9e7e1', '#fde725')
    """
    light, dark = THEMES["light"], THEMES["dark"]
    greys = (
        (blended(light.paper, light.ink, i / STEPS), blended(dark.paper, dark.ink, i / STEPS)) for i in range(STEPS + 1)
    )
    pairs = {to_hex(old): to_hex(new) for old, new in greys}
    pairs |= {to_hex(old): to_hex(new) for old, new in zip(light.colours, dark.colours, strict=True)}
    (first, last), (start, end) = light.ramp, dark.ramp
    for count in COUNTS:
        for i in range(count):
            step = i / (count - 1) if count > 1 else 0.0
            old, new = first + (last - first) * step, start + (end - start) * step
            pairs[to_hex(colormaps[SEQUENTIAL](old))] = to_hex(colormaps[SEQUENTIAL](new))
    return pairs
