"""`python -m examples.wine`: the turn in a home of its own, told line by line."""

import sys
from pathlib import Path

from demlopment.home import Home
from demlopment.settings import Settings
from examples.wine.turn import cellar, turn

turn(cellar(Home(Path(sys.argv[1] if len(sys.argv) > 1 else "var/wine")), Settings()), print)
