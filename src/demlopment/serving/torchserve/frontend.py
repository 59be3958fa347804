"""The real TorchServe, from its start to its end: it answers on our three ports, and dies with us. Knows no request."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from demlopment import home as homes
from demlopment.errors import NotReadyError
from demlopment.home import Home
from demlopment.serving import addresses, state, stopping, tokens
from demlopment.serving.addresses import Addresses
from demlopment.serving.configuration import startup
from demlopment.serving.configuration.properties import Configuration
from demlopment.serving.registration import Terms, readable
from demlopment.serving.slot import without_settings
from demlopment.serving.state import State
from demlopment.serving.torchserve import installation, properties, readiness, snapshots, tied
from demlopment.serving.torchserve.installation import Installation
from demlopment.serving.torchserve.places import Places

if TYPE_CHECKING:
    from demlopment.settings import Endpoint

STOP_SECONDS = 30.0  # for its workers; it does not wait for requests in hand
GRPC = ("grpc_inference", "grpc_management")  # it opens both, on this machine alone


def serve(
    home: Home,
    settings: "Endpoint",
    *,
    leash: bool,
    ready: Callable[[Addresses], None],
    configuration: Configuration | None = None,
) -> None:
    """As supervisor.serve, with the real TorchServe behind the three ports.

    What clients register there is in the state afterwards, so that our own engine could go on with it.
    Raises   SettingsError for a Java, a TorchServe or a port that cannot be had, HomeError if the home is in use, cannot be
             written or is too deep, NotReadyError if TorchServe ends before it was asked to.
    """
    configured = configuration or Configuration({})
    found = installation.found(settings.torchserve_environment)
    places = Places.of(home)
    with home.locked("serve"):
        places.prepare()
        terms, store = Terms.of(settings, configured.presets), settings.model_store or home.models
        snapshots.bring_back(home, store, terms, _say)
        startup.prepare(home, settings, configured.snapshot, terms, _say)
        served = _served(state.load(state.path(home)), store, terms)
        ports, told = _ports(home, settings)
        values = properties.properties(settings, str(store.absolute()), ports, served, configured.others)
        homes.replace(places.properties, properties.text(values).encode())
        try:
            asyncio.run(_run(home, settings, served, found, values, told, leash=leash, ready=ready))
        finally:
            snapshots.bring_back(home, store, terms, _say)
            places.clear()
            (home.endpoint / tokens.NAME).unlink(missing_ok=True)


async def _run(
    home: Home,
    settings: "Endpoint",
    served: State,
    found: Installation,
    values: Mapping[str, str],
    told: Addresses,
    *,
    leash: bool,
    ready: Callable[[Addresses], None],
) -> None:
    places, stop = Places.of(home), stopping.asked(leash=leash)
    with places.output.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            tied.__file__,
            str(os.getpid()),
            *command(found, places, values),
            cwd=home.endpoint,  # where TorchServe writes its key_file.json, and ours is
            env=_environment(found, places),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,  # everything is in its logs as well
            stderr=output,
            start_new_session=True,  # Ctrl-C in a terminal reaches us alone
        )
    ending = asyncio.create_task(process.wait())
    starting = asyncio.create_task(stopping.unless(stop, readiness.until_ready(home, served, told, _say)))
    try:
        await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done() and starting.result():
            with addresses.announced(home, told):
                ready(told)
                await asyncio.wait({ending, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            raise _ended(process.returncode, places)
    finally:
        starting.cancel()
        await _end(process, ending)


def command(found: Installation, places: Places, values: Mapping[str, str]) -> list[str]:
    """What TorchServe's own launcher would run, which knows no way to die with whoever started it."""
    return [
        str(found.java),
        f"-Dmodel_server_home={found.home}",
        f"-Djava.io.tmpdir={places.scratch}",
        *values.get("vmargs", "").split(),
        "-cp",
        found.classes,
        "org.pytorch.serve.ModelServer",
        "--python",
        str(found.python),
        "-f",
        str(places.properties),
        "-s",
        values["model_store"],
    ]


def _environment(found: Installation, places: Places) -> dict[str, str]:
    given = without_settings(os.environ)
    given.pop("TS_CONFIG_FILE", None)  # it would win over the file that we wrote
    return given | {
        "PATH": f"{found.python.parent}{os.pathsep}{given.get('PATH', os.defpath)}",
        "TEMP": str(places.scratch),
        "TMPDIR": str(places.scratch),
        "LOG_LOCATION": str(places.logs),
        "METRICS_LOCATION": str(places.logs),
    }


def _served(registered: State, store: Path, terms: Terms) -> State:
    """What TorchServe is given: one archive that it cannot read would keep it from starting."""
    given = registered
    for (model, number), version in registered.versions.items():
        comma = "TorchServe takes the comma in its file's name for its own." if "," in version.file else ""
        trouble = comma or readable(version, store, terms)
        if trouble:
            _say(f"{model} {number} is registered and cannot be served: {trouble}")
            given = given.forgotten(model, number)
    for name, found in registered.models.items():
        if found.plan is not None:
            _say(f"The traffic plan of {name} has no effect: TorchServe answers with the default version.")
    return given


def _ports(home: Home, settings: "Endpoint") -> tuple[dict[str, int], Addresses]:
    """The numbers of TorchServe's ports, seen to be free, and how they are reached."""
    secure = settings.certificate_file is not None
    with addresses.listening(home, settings) as listeners, contextlib.ExitStack() as stack:
        others = [stack.enter_context(addresses.listen("127.0.0.1", 0, name)) for name in GRPC]
        numbers = [each.getsockname()[1] for each in (*listeners, *others)]
        told = Addresses(*(addresses.url(each, secure=secure) for each in listeners), engine="torchserve")
    return dict(zip(("inference", "management", "metrics", *GRPC), numbers, strict=True)), told


async def _end(process: asyncio.subprocess.Process, ending: "asyncio.Task[int]") -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    await asyncio.wait({ending}, timeout=STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # its workers, too
    await ending


def _ended(code: int | None, places: Places) -> NotReadyError:
    last = places.output.read_text(errors="replace").strip().splitlines()[-1:]
    said = f" and said {last[0]!r:.200}" if last else ""
    # Java that did not come up wrote none of the log, which may be of a run before.
    return NotReadyError(
        f"TorchServe ended with status {code}{said}.", f"{places.remedy[:-1]}, and what it printed {places.output}."
    )


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError):  # a log on a full disk
        print(sentence, file=sys.stderr, flush=True)
