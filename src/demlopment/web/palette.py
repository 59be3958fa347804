"""The report's colours, by what they mean, for light and dark pages. Knows no chart.

Blue, teal and orange stay apart for colour-blind readers; every text colour has a contrast of at least 4.5 on `paper`
(WCAG 2.2, level AA), which a test computes. Nothing is said by colour alone.
"""

import re

LIGHT = {
    "paper": "#ffffff",
    "panel": "#f6f7f8",
    "ink": "#1c2126",
    "muted": "#59636e",
    "rule": "#dde1e6",
    "blue": "#1d5fa8",
    "teal": "#0a7365",
    "orange": "#b8430a",
}
DARK = {
    "paper": "#14171a",
    "panel": "#1c2024",
    "ink": "#e7e9eb",
    "muted": "#a0a9b3",
    "rule": "#32393f",
    "blue": "#82b6f5",
    "teal": "#5fd0ba",
    "orange": "#ff9d63",
}


def fixed(css: str) -> str:
    """`css` with each variable replaced by its light value, for a picture that stands alone in any viewer.

    >>> fixed(".axis { stroke: var(--rule); }")
    '.axis { stroke: #dde1e6; }'
    """
    return re.sub(r"var\(--([a-z]+)\)", lambda variable: LIGHT[variable[1]], css)
