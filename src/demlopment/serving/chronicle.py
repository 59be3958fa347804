"""What happened to the traffic plans, line by line and for good. Knows a file; decides nothing."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from demlopment.records import TrafficPlan
from demlopment.serving.plans import plan_shown


@dataclass(frozen=True)
class Chronicle:
    """A file of JSON lines: when, what, and the plan as it then was."""

    path: Path
    tell: Callable[[str], None]

    def write(self, event: str, plan: TrafficPlan) -> None:
        """Add a line. A disk that is full keeps nobody from changing the traffic: it is told."""
        line = json.dumps({"at": datetime.now(UTC).isoformat(), "event": event, "plan": plan_shown(plan)})
        try:
            with self.path.open("a") as file:
                file.write(line + "\n")
        except OSError as error:
            self.tell(f"{self.path} does not have that a traffic plan was {event}: {error.strerror}.")
