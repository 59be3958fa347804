"""How Sphinx builds the documentation: offline, warnings are errors, nothing loaded from elsewhere."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # generated.py lies beside this file

project = "deMLopment"
author = "The deMLopment authors"
copyright = "2026, " + author  # noqa: A001  # Sphinx reads this name
version = release = installed_version("demlopment")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"deMLopment {release}"
html_static_path: list[str] = []
autodoc_member_order = "bysource"
autodoc_typehints = "description"
# Files outside docs/ are shown through small pages that include them.
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # links of included pages are relative to the root, where people read them
