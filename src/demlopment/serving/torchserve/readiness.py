"""Whether a TorchServe that was started answers, and has workers for what it was given. Starts nothing."""

import asyncio
import json
import ssl
import time
from collections.abc import Callable
from urllib.parse import quote

import httpx2

from demlopment.errors import NotReadyError
from demlopment.home import Home
from demlopment.serving import tokens
from demlopment.serving.addresses import Addresses
from demlopment.serving.state import State
from demlopment.serving.torchserve.places import Places

START_SECONDS = 120.0  # Java and its ports take about three on a machine that is not busy
POLL_SECONDS = 0.2


async def until_ready(home: Home, served: State, told: Addresses, tell: Callable[[str], None]) -> None:
    """Until the ports answer and every version has its workers, or has had the time for it."""
    trust = ssl._create_unverified_context() if told.management.startswith("https") else True  # noqa: S323  (it is ours)
    began = time.monotonic()
    async with httpx2.AsyncClient(base_url=told.management, verify=trust, trust_env=False, timeout=START_SECONDS) as client:
        while not await _answers(client):
            if time.monotonic() > began + START_SECONDS:
                raise NotReadyError(f"TorchServe does not answer after {START_SECONDS:.0f} seconds.", Places.of(home).remedy)
            await asyncio.sleep(POLL_SECONDS)
        for (model, number), version in served.served.items():
            deadline = time.monotonic() + version.startup_timeout
            while not await _has_worker(client, home, model, number):
                if time.monotonic() > deadline:
                    tell(f"{model} {number} is registered and has no worker yet. {Places.of(home).remedy}")
                    break
                await asyncio.sleep(POLL_SECONDS)


async def _answers(client: httpx2.AsyncClient) -> bool:
    try:
        return (await client.options("/")).is_success  # which needs no token
    except httpx2.TransportError:
        return False


async def _has_worker(client: httpx2.AsyncClient, home: Home, model: str, number: str) -> bool:
    path = f"/models/{quote(model, safe='')}/{quote(number, safe='')}"
    try:
        answer = await client.get(path, headers=tokens.credentials(home, "management"))
        return answer.is_success and any(worker["status"] == "READY" for worker in answer.json()[0]["workers"])
    except (httpx2.TransportError, json.JSONDecodeError):
        return False
