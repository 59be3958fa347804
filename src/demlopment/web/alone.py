"""A drawing that stands alone in any viewer, on a light background so that it reads on any page. Knows not what is drawn."""

from pathlib import Path

from markupsafe import Markup

from demlopment.web import palette
from demlopment.web.svg import drawing, element

STYLES = Path(__file__).parent / "templates" / "charts.css"


def alone(width: float, height: float, label: str, *children: str) -> str:
    """The whole file; `label` tells its content to those who cannot see it."""
    whole = drawing(
        width,
        height,
        label,
        element("style", Markup(palette.fixed(STYLES.read_text("utf-8")))),  # noqa: S704 - our own file
        element("rect", width=width, height=height, rx=8, class_="paper"),
        *children,
        xmlns="http://www.w3.org/2000/svg",
    )
    return f"{whole}\n"
