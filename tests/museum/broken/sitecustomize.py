"""Loaded by every Python process that an exhibit starts: switches on the one defect that is named, and keeps the guard."""

import os
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

runpy.run_path(str(Path(__file__).parents[2] / "guard" / "sitecustomize.py"))

if os.environ.get("TESTS_DEFECT") == "inverted pixels":
    from demlopment import images

    prepared = images.as_input

    def inverted(pictures: Any) -> Any:
        return 1 - prepared(pictures)

    images.as_input = inverted  # type: ignore[assignment]

if os.environ.get("TESTS_DEFECT") == "stale classes":
    from demlopment import archive

    whole = archive.read

    def stale(path: Path) -> archive.Archive:
        """As if the file with the names were that of an older model, in which two classes had each other's place."""
        model = whole(path)
        names = list(model.card.classes)
        names[7], names[9] = names[9], names[7]
        return replace(model, card=replace(model.card, classes=tuple(names)))

    archive.read = stale
