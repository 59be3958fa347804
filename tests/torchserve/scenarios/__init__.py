"""Every scenario of the table."""

from tests.torchserve.scenarios import envelopes, handlers, inference, management, measures, tokens
from tests.torchserve.server import Name
from tests.torchserve.table import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    *inference.SCENARIOS,
    *handlers.SCENARIOS,
    *measures.SCENARIOS,
    *management.SCENARIOS,
    *envelopes.SCENARIOS,
    *tokens.SCENARIOS,
)


def of(configuration: Name) -> list[Scenario]:
    """Those of one server."""
    return [scenario for scenario in SCENARIOS if scenario.configuration == configuration]
