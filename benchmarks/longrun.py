"""Ninety days of drift: what retraining never, every night, and when something asks for it comes to, in accuracy and money."""

from pathlib import Path

from benchmarks.result import RESULTS, write
from demlopment.lifecycle.life import Recipe
from demlopment.lifecycle.longrun import run as live
from demlopment.settings import Settings
from demlopment.web import longrun

DAYS, PER_DAY, SEED = 90, 300, 1


def run(days: int = DAYS, per_day: int = PER_DAY, seed: int = SEED) -> Path:
    """Live through so many days, write the figures and their tables."""
    met, runs = live(Settings.model_construct(), days, per_day, seed, Recipe())
    (RESULTS / "longrun.md").write_text(f"{longrun.table(runs)}\n{longrun.eras_table(runs, met)}")
    return write("longrun", longrun.figures(runs, met, {"days": days, "per_day": per_day, "seed": seed}))
