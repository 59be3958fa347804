"""Bring archives into a running endpoint and split traffic between them. Talks to it over HTTP, as any client does."""

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx2

from demlopment.errors import NotReadyError
from demlopment.home import Home
from demlopment.records import TrafficPlan
from demlopment.serving import credentials, plan_shown, running
from demlopment.settings import Endpoint

REMEDIES: dict[int, str] = {
    httpx2.codes.METHOD_NOT_ALLOWED: "Start it with DEMLOPMENT_ENDPOINT__ENABLE_MODEL_API=true, or stop it and run this again."
}
PATIENCE_SECONDS = 60  # for the endpoint to become ready, and to leave: it takes 1 to 3 on an idle machine


class Rollout:
    """The management side of one running endpoint."""

    def __init__(self, home: Home, addresses: dict[str, str]) -> None:
        self.inference = addresses["inference"]
        self.metrics = addresses["metrics"]
        self.headers = credentials(home, "inference")  # what a prediction needs, if anything
        key = credentials(home, "management")
        self._http = httpx2.Client(base_url=addresses["management"], timeout=PATIENCE_SECONDS, headers=key)

    def bring_up(self, archive: Path) -> bool:
        """Load an archive of the model store into every serving process, unless it is loaded already; whether it was new."""
        model, _, version = archive.stem.rpartition("-")
        if self._expect("GET", f"/models/{model}/{version}", also=httpx2.codes.NOT_FOUND).is_success:
            return False
        self._expect(
            "POST",
            "/models",
            params={"url": archive.name, "initial_workers": 1, "synchronous": "true"},
        )
        return True

    def ask(self, model: str, version: str, picture: bytes) -> bytes:
        """What one version answers to a picture, in full where the endpoint is not strict. It is journalled like any other."""
        url = f"{self.inference}/predictions/{model}/{version}"
        return self._expect("POST", url, content=picture, headers={**self.headers, "accept": "application/json"}).content

    def let_go(self, model: str, version: str) -> None:
        """Take one version out of the endpoint; where that is not allowed, it stays loaded."""
        self._expect("DELETE", f"/models/{model}/{version}", also=httpx2.codes.METHOD_NOT_ALLOWED)

    def split(self, plan: TrafficPlan, *, replaces: int | None = None) -> int:
        """Requests that name no version are divided as `plan` says, until it is replaced or ended; its number.

        With the number of a plan that it `replaces` only if that one is in force.
        """
        sent = plan_shown(plan) | {"replaces": replaces}
        number: int = self._expect("PUT", f"/models/{plan.model}/traffic", json=sent).json()["number"]
        return number

    def resume(self, model: str, number: int) -> None:
        """Let the canary of that plan go on that a restart has halted."""
        self._expect("PUT", f"/models/{model}/traffic/resume", params={"number": number})

    def withdraw(self, model: str, version: str) -> None:
        """End the split, and let one of its versions go that does not answer alone."""
        self._expect("DELETE", f"/models/{model}/traffic", also=httpx2.codes.NOT_FOUND)
        if self._expect("GET", f"/models/{model}/{version}", also=httpx2.codes.NOT_FOUND).is_success:
            self.let_go(model, version)

    def hand_over(self, model: str, version: str) -> None:
        """End the split, send every request that names no version to `version`, and let the other versions go."""
        self._expect("DELETE", f"/models/{model}/traffic", also=httpx2.codes.NOT_FOUND)
        self._expect("PUT", f"/models/{model}/{version}/set-default")
        for description in self._expect("GET", f"/models/{model}/all").json():
            if description["modelVersion"] != version:
                self.let_go(model, description["modelVersion"])

    def close(self) -> None:
        self._http.close()

    def _expect(self, method: str, path: str, *, also: int | None = None, **arguments: Any) -> httpx2.Response:
        """The answer, if it is a success or has the status `also`, which the caller finds as good."""
        try:
            answer = self._http.request(method, path, **arguments)
        except httpx2.TransportError as error:
            raise NotReadyError(
                f"The endpoint does not answer {method} {path}: {error}.", "Run the same command again."
            ) from error
        if not answer.is_success and answer.status_code != also:
            raise NotReadyError(
                f"The endpoint answered {method} {path} with {answer.status_code}: {answer.text.strip()}.",
                REMEDIES.get(answer.status_code, "Correct the request, or look at the endpoint's log."),
            )
        return answer


@contextmanager
def endpoint(home: Home, settings: Endpoint) -> Iterator[Rollout]:
    """An endpoint of one's own on free ports, which lives as long as the block, or this process, however it ends.

    Raises NotReadyError with the endpoint's own words if it does not come up.
    """
    command = [sys.executable, "-m", "demlopment", "serve", "--until-stdin-closes"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(home, settings),
        text=True,
        start_new_session=True,  # Ctrl-C is ours to answer: the endpoint leaves when its standard input closes
    ) as process:
        log = _Log(process, home.endpoint / "endpoint.log")
        try:
            rollout = Rollout(home, _addresses(process, log))
            try:
                yield rollout
            finally:
                rollout.close()
        finally:
            assert process.stdin is not None
            process.stdin.close()
            _leave(process)
            log.join(PATIENCE_SECONDS)  # what hangs in native code would hold its standard error open for ever


class _Log(threading.Thread):
    """What an endpoint says, kept for its error message, and in a file as long as the disk takes it."""

    def __init__(self, process: subprocess.Popen[str], path: Path) -> None:
        super().__init__(daemon=True)
        self.said = ""
        self.path = path
        self._process = process
        self.start()

    def run(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.said += line
            with suppress(OSError):  # a full disk is what it may be telling us about
                self.path.write_text(self.said)


@contextmanager
def reached(home: Home, settings: Endpoint) -> Iterator[Rollout]:
    """The endpoint that runs in this home; where none does, one of our own for as long as the block lasts."""
    addresses = running(home)
    if addresses is None:
        with endpoint(home, settings) as rollout:
            yield rollout
        return
    rollout = Rollout(home, asdict(addresses))
    try:
        yield rollout
    finally:
        rollout.close()


def _environment(home: Home, settings: Endpoint) -> dict[str, str]:
    """What the endpoint is told: this home, free ports, and that archives may be registered."""
    ours = settings.model_copy(update={"inference_port": 0, "management_port": 0, "metrics_port": 0, "enable_model_api": True})
    values = ours.model_dump() | {"tokens": ours.tokens.get_secret_value()}
    variables = {f"DEMLOPMENT_ENDPOINT__{name.upper()}": str(value) for name, value in values.items() if value is not None}
    return os.environ | variables | {"DEMLOPMENT_HOME": str(home.root)}


def _addresses(process: subprocess.Popen[str], log: _Log) -> dict[str, str]:
    assert process.stdout is not None
    # One line of JSON when it is ready; an end of file when it gave up; nothing at all when it hangs.
    answered, _, _ = select.select([process.stdout], [], [], PATIENCE_SECONDS)
    line = process.stdout.readline() if answered else ""
    if not line:
        process.terminate()
        log.join(PATIENCE_SECONDS)
        said = log.said.strip().removeprefix("Error: ") or f"it said nothing for {PATIENCE_SECONDS} s."
        raise NotReadyError(f"The endpoint did not start: {said}", "Mend that and run the same command again.")
    addresses: dict[str, str] = json.loads(line)
    return addresses


def _leave(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
