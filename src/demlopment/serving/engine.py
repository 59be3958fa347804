"""Hold every network that is served and run it. Knows the model store and ONNX Runtime; knows nothing of HTTP.

One thread and no spinning: several processes share the cores, and a spinning thread would steal from its neighbours.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors

from demlopment import archive, recall, seen
from demlopment.archive import Answering, Archive
from demlopment.errors import ArchiveError, RequestError
from demlopment.records import Arm, TrafficPlan
from demlopment.row import Column
from demlopment.seen import Seen
from demlopment.serving import canaries, units
from demlopment.serving.guardrails import Breach, Watch
from demlopment.serving.state import Model, State, Version
from demlopment.serving.traffic import Split
from demlopment.serving.units import Asker
from demlopment.serving.upstream import Allowed, Upstream

Floats = npt.NDArray[np.float32]
Key = tuple[str, str]  # model, version
UNIT = units.reader(units.DEFAULT)  # of a model without a plan

# ONNX Runtime's exceptions share no base of their own.
ONNX_ERRORS = (
    onnx_errors.EPFail,
    onnx_errors.EngineError,
    onnx_errors.Fail,
    onnx_errors.InvalidArgument,
    onnx_errors.InvalidGraph,
    onnx_errors.InvalidProtobuf,
    onnx_errors.ModelRequiresCompilation,
    onnx_errors.NoModel,
    onnx_errors.NoSuchFile,
    onnx_errors.NotImplemented,
    onnx_errors.RuntimeException,
)


@dataclass(frozen=True, eq=False)
class Network:
    """One version of a model, ready to run."""

    model: str
    version: str
    classes: tuple[str, ...]
    temperature: float  # logits are divided by it; 1 where the card asks for uncalibrated probabilities
    session: onnxruntime.InferenceSession
    load_ms: float
    answering: Answering = field(default_factory=Answering)
    columns: tuple[Column, ...] = ()  # of the rows that it reads; none: pictures

    @property
    def key(self) -> Key:
        return self.model, self.version

    def run(self, batch: Seen) -> tuple[Floats, Floats]:
        """Prepared images (n, 28, 28), or rows (n, columns) -> probabilities (n, classes) and embeddings (n, width).

        Raises FloatingPointError where they are no numbers, as no class would be the likeliest, and ValueError where they are
        not as many as they should be.
        """
        logits, embedding = self.session.run(["logits", "embedding"], seen.feed(batch))
        if logits.shape != (len(batch), len(self.classes)) or len(embedding) != len(batch):
            raise ValueError(f"the network answers {len(batch)} with logits {logits.shape} and embeddings {embedding.shape}")
        probabilities = softmax(logits / np.float32(self.temperature))
        if not isfinite(np.add.reduce(probabilities, axis=None)):
            raise FloatingPointError("the network answers with no number")
        return probabilities, embedding


class Route(NamedTuple):
    """Who answers a request: a version, and the arm it stands for; a tuple, because every request makes one."""

    network: Network | None  # None: Python code in workers of its own
    arm: Arm
    unit: str
    asked: str  # the version as the request named it, or "default": TorchServe's metrics tell them apart
    elsewhere: Key | None = None  # the version that answers where no network does
    shadows: tuple[Network, ...] = ()  # are asked as well, once the client has its answer
    watch: Watch | None = None  # wants to know how the arms of a canary's plan answer
    remote: "Remote | None" = None  # the other server that answers, where one does

    @property
    def key(self) -> Key:
        """Model and version."""
        key = self.elsewhere if self.network is None else self.network.key
        assert key is not None, "a route leads to a network, a handler or another server"
        return key


class Remote(NamedTuple):
    """A version that another server answers."""

    upstream: Upstream
    seconds: int  # that it may take


@dataclass
class Engine:
    """The networks of one generation. `prepare` may take its time in a thread; `switch` is one assignment."""

    store: Path
    _models: Mapping[str, Model] = field(default_factory=dict)
    _networks: Mapping[Key, Network] = field(default_factory=dict)
    _prepared: Mapping[Key, Network] = field(default_factory=dict)
    _remotes: Mapping[Key, Remote] = field(default_factory=dict)
    _splits: Mapping[str, Split] = field(default_factory=dict)
    _shadows: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    now: Callable[[], float] = time.time  # seconds since 1970
    allowed: Allowed = field(default_factory=Allowed)  # other servers
    processes: int = 1  # that serve the same, at least: models may ask for more
    broken: Callable[[Breach], None] = lambda _: None  # is told of a canary that was stopped here
    _watches: dict[str, Watch] = field(default_factory=dict)
    _together: int = 1  # processes that serve this generation
    _stopped: set[tuple[str, int]] = field(default_factory=set)  # models with the number of a plan whose canary is over

    def prepare(self, state: State) -> dict[Key, str]:
        """Load the networks of `state` that are not loaded yet, changing no answer; returns why each failure failed."""
        prepared: dict[Key, Network] = {}
        failures: dict[Key, str] = {}
        for key, version in state.served.items():
            if version.kind != "onnx":
                failures |= self._unfit(key, version)
                continue
            network = self._networks.get(key) or self._prepared.get(key)
            try:
                prepared[key] = network or load(self.store, key, version)
            except ArchiveError as error:
                failures[key] = str(error)
        self._prepared = prepared
        return failures

    def switch(self, state: State) -> None:
        """Answer by `state` from now on, with the networks that were prepared for it."""
        self._models, self._networks, self._prepared = state.models, self._prepared, {}
        self._remotes = {
            key: Remote(Upstream.at(version.url), version.response_timeout)
            for key, version in state.served.items()
            if version.kind == "remote" and not self._unfit(key, version)
        }
        self._together = max(self.processes, state.workers)
        plans = {name: model.plan for name, model in state.models.items() if model.plan}
        # A model that is registered anew counts its plans from 1 again.
        self._stopped &= {(name, plan.number) for name, plan in plans.items()}
        self._follow(plans)

    def stop(self, model: str, number: int) -> None:
        """From now on nobody meets the canary of that plan."""
        self._stopped.add((model, number))
        self._follow({name: each.plan for name, each in self._models.items() if each.plan})

    @property
    def watches(self) -> tuple[Watch, ...]:
        """Of the canaries that answer."""
        return tuple(self._watches.values())

    def _follow(self, plans: Mapping[str, TrafficPlan]) -> None:
        plans = {name: self._without_stopped(plan) for name, plan in plans.items()}
        self._splits = {name: Split(plan) for name, plan in plans.items()}
        self._shadows = {name: self._held(name, plan.shadows) for name, plan in plans.items()}
        watches = {
            name: self._watch(plan)
            for name, plan in plans.items()
            if plan.canary is not None and plan.canary.state in canaries.SERVED
        }
        for ended in set(self._watches.values()) - set(watches.values()):
            ended.over.set()
        self._watches = watches

    def _without_stopped(self, plan: TrafficPlan) -> TrafficPlan:
        if (plan.model, plan.number) not in self._stopped or plan.canary is None:
            return plan
        return canaries.halted(plan, "it broke a guardrail")

    def _held(self, model: str, versions: Iterable[str]) -> tuple[Network, ...]:
        return tuple(self._networks[model, each] for each in versions if (model, each) in self._networks)

    def _watch(self, plan: TrafficPlan) -> Watch:
        """The one that has seen this plan's canary so far, or a new one."""
        known = self._watches.get(plan.model)
        if known is not None and known.plan.number == plan.number:
            known.processes = self._together
            return known
        networks = self._held(plan.model, plan.versions[:2])
        answering = {each.version: each.answering for each in networks} if len(networks) == 2 else {}
        return Watch(plan, answering, networks[0].classes if answering else (), self._together, self._breached)

    def _breached(self, breach: Breach) -> None:
        self.stop(breach.model, breach.number)
        self.broken(breach)

    @property
    def models(self) -> Mapping[str, Model]:
        """What is registered, by name."""
        return self._models

    @property
    def networks(self) -> tuple[Network, ...]:
        return tuple(self._networks.values())

    @property
    def held(self) -> tuple[Key, ...]:
        """The versions that this process answers, or has answered by another server."""
        return (*self._networks, *self._remotes)

    @property
    def relied_on(self) -> tuple[Upstream, ...]:
        """The other servers without which a request that names no version is not answered: a treatment has its control."""
        met = {(name, model.plan.control if model.plan else model.default) for name, model in self._models.items()}
        return tuple(remote.upstream for key, remote in self._remotes.items() if key in met)

    def _unfit(self, key: Key, version: Version) -> dict[Key, str]:
        """Why another server cannot answer a version, if one is to: the settings may have changed since it was registered."""
        if version.kind == "remote":
            try:
                self.allowed.refuse(Upstream.at(version.url).url)
            except RequestError as refused:
                return {key: str(refused)}
        return {}

    def registered(self, name: str, version: str | None = None) -> None:
        """Raise RequestError, 404, for a model or a version that is not registered."""
        if name not in self._models:
            raise RequestError(f"Model not found: {name}", status=404, kind="ModelNotFoundException")
        if version is not None and version not in self._models[name].versions:
            raise RequestError(
                f"Model version: {version} does not exist for model: {name}", status=404, kind="ModelVersionNotFoundException"
            )

    def route(self, name: str, version: str | None, asker: Asker, request_id: str) -> Route:
        """Who answers. An explicit version wins; otherwise the plan decides by the request's unit; otherwise the default.

        Raises RequestError, 404 for what is not registered and 503 for what has no worker.
        """
        self.registered(name, version)
        split = self._splits.get(name)
        unit = units.unit(UNIT(asker), request_id) if split is None else split.unit(asker, request_id)
        if split is None or version is not None:
            return self._route((name, self._models[name].default if version is None else version), "direct", unit, version)
        arm, chosen = split.chosen(unit, self.now())
        held = (name, chosen) in self._networks or (name, chosen) in self._remotes
        if not held and self._models[name].versions[chosen].kind != "handler":
            arm, chosen = "direct", split.plan.control  # its archive was damaged meanwhile, or its server is not allowed
        shadows = () if arm == "direct" else self._shadows.get(name, ())
        route = self._route((name, chosen), arm, unit, None, shadows)
        watch = self._watches.get(name)
        if watch is None or arm == "direct":
            return route
        if arm == "treatment" and watch.answering and watch.rails.disagreement is not None:
            route = route._replace(shadows=(*shadows, *self._held(name, (split.plan.control,))))
        return route._replace(watch=watch)

    def spared(self, route: Route) -> Route:
        """The control, in no experiment, instead of a treatment that cannot answer."""
        if route.arm != "treatment":
            return route
        model = route.key[0]
        return self._route((model, self._splits[model].plan.control), "direct", route.unit, None)

    def asks_for_fields(self, name: str) -> bool:
        """Whether the unit of the model's plan may stand in a form."""
        split = self._splits.get(name)
        return split is not None and split.of_a_field

    def _route(self, key: Key, arm: Arm, unit: str, asked: str | None, shadows: tuple[Network, ...] = ()) -> Route:
        network = self._networks.get(key)
        if network is not None:
            return Route(network, arm, unit, asked or "default", shadows=shadows)
        if key in self._remotes:
            return Route(None, arm, unit, asked or "default", key, shadows, remote=self._remotes[key])
        version = self._models[key[0]].versions[key[1]]
        if version.kind == "handler" and version.served:
            return Route(None, arm, unit, asked or "default", key)
        # TorchServe's words, with its unbalanced quote: clients match them.
        subject = f'Model "{key[0]}"' if asked is None else f'Model "{key[0]}" Version {asked}"'
        raise RequestError(f"{subject} {NO_WORKER}", status=503, kind="ServiceUnavailableException")


NO_WORKER = (
    "has no worker to serve inference request. Please use scale workers API to add workers. If this is a sequence inference, "
    "please check if it is closed, or expired; or exceeds maxSequenceJobQueueSize"
)


def load(store: Path, key: Key, version: Version) -> Network:
    """Read, verify and try out one archive. Raises ArchiveError naming the file and what is wrong with it."""
    started = time.perf_counter()
    path = store / version.file
    content = archive.read(path)
    if content.card.version != key[1]:
        raise ArchiveError(f"{path} is version {content.card.version}, and {key[1]} was registered.", "Put the archive back.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what fails is said once, and not for each request
    try:
        session = onnxruntime.InferenceSession(content.network, options, providers=["CPUExecutionProvider"])
    except ONNX_ERRORS as error:
        raise ArchiveError(f"{path}: its network cannot be loaded ({_first_line(error)}).", "Export it again.") from error
    _try_out(path, session, content)
    load_ms = (time.perf_counter() - started) * 1000
    card = content.card
    temperature = card.temperature if card.answer.calibrated else 1.0
    return Network(*key, card.classes, temperature, session, load_ms, card.answer, card.columns)


def softmax(logits: Floats) -> Floats:
    """Rows of logits (n, classes) as probabilities; a row sums to 1."""
    # The ufuncs themselves: for a batch of eight, what `max` and `sum` wrap around them takes as long as they do.
    shifted = np.exp(logits - np.maximum.reduce(logits, axis=1, keepdims=True))
    return np.asarray(shifted / np.add.reduce(shifted, axis=1, keepdims=True), np.float32)


def _try_out(path: Path, session: onnxruntime.InferenceSession, content: Archive) -> None:
    """The first run is the slow one, and it shows a network that does not fit its card while nobody waits for it.

    Where the archive has what was answered to its pictures when it was judged, it has to be answered here too.
    """
    classes = content.card.classes
    try:
        shown = recall.pictures(content.sample, content.card.columns)
    except seen.UNREADABLE as error:
        raise ArchiveError(f"{path}: its network does not run ({_first_line(error)}).", "Export it again.") from error
    # What waits together is of any size, and a network may fit only one.
    logits, *_ = [_logits(path, session, batch, classes) for batch in (shown, shown[:1], shown[[0, 1, 0]])]
    scaled = np.asarray(logits / np.float32(content.card.temperature), np.float32)
    said = recall.answers(softmax(scaled), classes)
    value, where = max(map(recall.apart, said, content.answers), default=(0.0, ""))
    if not value <= recall.TOLERANCE:
        raise ArchiveError(
            f"{path} {recall.UNLIKE}: the logarithms of its probabilities are {value:.3g} apart ({where}), "
            f"and {recall.TOLERANCE:g} is allowed.",
            "Serve it with the code that trained it.",
        )


def _logits(path: Path, session: onnxruntime.InferenceSession, shown: Seen, classes: Sequence[str]) -> Floats:
    """(n, classes). Raises ArchiveError for a network that does not answer each of (n, ...) as it should."""
    try:
        logits, embedding = session.run(["logits", "embedding"], seen.feed(shown))
    except (ValueError, *ONNX_ERRORS) as error:
        raise ArchiveError(f"{path}: its network does not run ({_first_line(error)}).", "Export it again.") from error
    if not (isinstance(logits, np.ndarray) and isinstance(embedding, np.ndarray)):
        raise ArchiveError(f"{path}: its network does not answer with arrays.", "Export it again.")
    fits = logits.shape == (len(shown), len(classes)) and embedding.ndim == 2 and len(embedding) == len(shown)
    if not fits or logits.dtype != np.float32 or embedding.dtype != np.float32 or not np.isfinite(logits).all():
        raise ArchiveError(
            f"{path}: its network answers {len(shown)} at once with logits {logits.shape} {logits.dtype} and an embedding "
            f"{embedding.shape} {embedding.dtype}, and the card names {len(classes)} classes.",
            "Export it again.",
        )
    return logits


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
