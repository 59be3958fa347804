"""What the endpoint serves: models, versions, workers asked for, traffic plans. Knows no process, port or ONNX.

Every change makes a new generation. It is on disk before it is acknowledged, so the next run brings up the same.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from demlopment import home
from demlopment.errors import DataError, HomeError, RequestError
from demlopment.home import Home
from demlopment.records import Canary, Guardrails, TrafficPlan, Treatment
from demlopment.serving import canaries

MAX_WORKERS = 256  # as the setting endpoint.processes; a typing error must not start a thousand processes
FORMAT = 5  # of state.json; raised when an older release could not read it
READABLE = (1, 2, 3, 4, 5)
LARGEST = 2**31 - 1  # a number of TorchServe's


# What a field of a state may hold, by its annotation.
PLAIN: dict[Any, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    bool: (bool,),
    float: (int, float),
    float | None: (int, float, type(None)),
}

# What TorchServe's files call the numbers of a version.
NUMBERS = {
    "minWorkers": "min_workers",
    "maxWorkers": "max_workers",
    "batchSize": "batch_size",
    "maxBatchDelay": "max_batch_delay",
    "responseTimeout": "response_timeout",
    "startupTimeout": "startup_timeout",
}


@dataclass(frozen=True)
class Version:
    """One registered version of a model, as the client registered it."""

    file: str  # base name in the model store; "" for what another server answers
    url: str  # what the client called it; the address of that server
    min_workers: int = 0  # 0: registered, not served
    max_workers: int = 0
    batch_size: int = 1  # of a handler; a network takes whatever waits, see batching.py
    max_batch_delay: int = 100  # ms, likewise
    response_timeout: int = 120  # s
    startup_timeout: int = 120  # s
    # A network in every serving process, Python code in workers of its own, or another server that is asked.
    kind: Literal["onnx", "handler", "remote"] = "onnx"
    job_queue_size: int = 100  # requests that wait for the workers of a handler
    handler: str = ""  # what the client called it, over what its archive says

    @property
    def served(self) -> bool:
        return self.min_workers > 0


@dataclass(frozen=True)
class Model:
    """One model: its versions, which of them answers when none is named, and its experiment if there is one."""

    default: str
    versions: Mapping[str, Version]
    plan: TrafficPlan | None = None
    plans: int = 0  # that it has had

    def archive(self, version: str) -> str:
        """The file of a version that is an archive of ours. Raises DataError where Python code or another server answers."""
        found = self.versions[version]
        if found.kind != "onnx":
            who = f"another server, {found.url}" if found.kind == "remote" else f"the Python code of {found.file}"
            raise DataError(
                f"Version {version} is answered by {who}, of which nothing is known here.",
                "Ask the endpoint, or name an archive that training printed.",
            )
        return found.file


@dataclass(frozen=True)
class State:
    """One generation. Each verb returns the next one, or raises RequestError with TorchServe's status and words."""

    generation: int = 0
    models: Mapping[str, Model] = field(default_factory=dict)

    @property
    def workers(self) -> int:
        """The most serving processes that any network asks for; a handler's workers are not among them."""
        networks = (version for version in self.served.values() if version.kind == "onnx")
        return max((version.min_workers for version in networks), default=0)

    @property
    def versions(self) -> dict[tuple[str, str], Version]:
        """Every version, by model and number."""
        return {(name, number): version for name, model in self.models.items() for number, version in model.versions.items()}

    @property
    def served(self) -> dict[tuple[str, str], Version]:
        """Every version that has workers."""
        return {key: version for key, version in self.versions.items() if version.served}

    def model(self, name: str) -> Model:
        if name not in self.models:
            raise RequestError(f"Model not found: {name}", status=404, kind="ModelNotFoundException")
        return self.models[name]

    def version(self, name: str, version: str | None = None) -> tuple[str, Version]:
        """The version asked for, or the default one, with its number."""
        model = self.model(name)
        number = model.default if version is None else version
        if number not in model.versions:
            raise _no_version(f"Model version: {number} does not exist for model: {name}")
        return number, model.versions[number]

    def plan(self, name: str) -> TrafficPlan:
        """The traffic plan of a model."""
        plan = self.model(name).plan
        if plan is None:
            raise RequestError(f"Model {name} has no traffic plan.", status=404, kind="ResourceNotFoundException")
        return plan

    def register(self, name: str, number: str, version: Version) -> "State":
        """Add a version; the first one of a model becomes its default."""
        model = self.models.get(name, Model(number, {}))
        if number in model.versions:
            raise RequestError(
                f"Model version {number} is already registered for model {name}", status=409, kind="ConflictStatusException"
            )
        return self._with(name, replace(model, versions={**model.versions, number: version}))

    def scale(self, name: str, number: str | None, min_workers: int, max_workers: int) -> "State":
        """Ask for workers; 0 stops serving that version."""
        number, version = self.version(name, number)
        model = self.model(name)
        if not min_workers and model.plan and number in model.plan.versions:
            raise _is_arm(name, number)
        scaled = replace(version, min_workers=min_workers, max_workers=max_workers)
        return self._with(name, replace(model, versions={**model.versions, number: scaled}))

    def replaced(self, name: str, number: str, version: Version) -> "State":
        """The same version with other numbers."""
        model = self.model(name)
        return self._with(name, replace(model, versions={**model.versions, number: version}))

    def forgotten(self, name: str, number: str) -> "State":
        """Without a version, whatever it is: another one becomes the default, and its plan ends."""
        model = self.model(name)
        rest = {other: version for other, version in model.versions.items() if other != number}
        if not rest:
            return self._with(name, None)
        default = next(iter(rest)) if number == model.default else model.default
        plan = None if model.plan and number in model.plan.versions else model.plan
        return self._with(name, replace(model, default=default, versions=rest, plan=plan))

    def set_default(self, name: str, number: str) -> "State":
        """The version that answers when a request names none and no plan is in force."""
        model = self.model(name)
        if number not in model.versions:
            raise _no_version(f"Model version {number} does not exist for model {name}")
        return self._with(name, replace(model, default=number))

    def unregister(self, name: str, number: str | None = None) -> "State":
        """Forget a version, the default one if none is named; the archive stays in the model store."""
        number, _ = self.version(name, number)
        model = self.model(name)
        rest = {other: version for other, version in model.versions.items() if other != number}
        if rest and number == model.default:
            raise RequestError(
                f"Cannot remove default version for model {name}", status=403, kind="InvalidModelVersionException"
            )
        if rest and model.plan and number in model.plan.versions:
            raise _is_arm(name, number)
        return self._with(name, replace(model, versions=rest) if rest else None)

    def split(self, plan: TrafficPlan, expected: int | None = None) -> "State":
        """Put a traffic plan in force; all of its versions must be served.

        With a number that is `expected` only in place of that plan, 0 for none.
        """
        model = self.model(plan.model)
        now = model.plan.number if model.plan else 0
        if expected not in (None, now):
            raise _moved_on(plan.model, expected, now)
        for number in plan.versions:
            _, version = self.version(plan.model, number)
            if not version.served:
                raise RequestError(
                    f"Model version {number} of model {plan.model} has no worker.",
                    "Scale it to at least 1 before it gets traffic.",
                    status=409,
                    kind="ConflictStatusException",
                )
        count = model.plans + 1
        return self._with(plan.model, replace(model, plan=replace(plan, number=count), plans=count))

    def steer(self, name: str, number: int | None, command: Callable[[TrafficPlan], TrafficPlan], at: float) -> "State":
        """Have a canary do what the command says, `at` a time (seconds since 1970).

        With a `number` only if the plan in force has it: whoever asks has seen no other.
        """
        plan = self.plan(name)
        if number is not None and number != plan.number:
            raise _moved_on(name, number, plan.number)
        return self._with(name, replace(self.model(name), plan=replace(command(plan), since=at)))

    def awake(self, at: float) -> "State":
        """What an endpoint begins with: canaries that had a share are halted, for nobody knows what they did meanwhile."""
        found = self
        for name, model in self.models.items():
            if model.plan and model.plan.canary and model.plan.canary.state in canaries.MOVING:
                found = found.steer(name, None, lambda plan: canaries.halted(plan, "the endpoint was restarted"), at)
        return found

    def without(self, stopped: Collection[tuple[str, int]]) -> "State":
        """The same generation, where the canaries of these plans, of a model and a number, have no traffic."""
        models = dict(self.models)
        for name, model in self.models.items():
            plan = model.plan
            if plan and (name, plan.number) in stopped and plan.canary and plan.canary.state in canaries.SERVED:
                models[name] = replace(model, plan=canaries.halted(plan, "it was stopped, which is not written down yet"))
        return replace(self, models=models)

    def unsplit(self, name: str) -> "State":
        """End the experiment: the default version answers again."""
        return self._with(name, replace(self.model(name), plan=None))

    def _with(self, name: str, model: Model | None) -> "State":
        models = {other: kept for other, kept in self.models.items() if other != name}
        if model is not None:
            models[name] = model
        return State(self.generation + 1, models)


Part = TypeVar("Part", "State", Model, Version, Treatment, TrafficPlan, Guardrails, Canary)


def path(place: Home) -> Path:
    """Where the state of a home is kept. Whoever changes it while no endpoint runs holds `place.locked("serve")`."""
    return place.endpoint / "state.json"


def load(path: Path) -> State:
    """The state in `path`; an empty one if there is none yet. Raises HomeError if the file is not what `save` wrote."""
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        return State()
    except (ValueError, RecursionError) as broken:
        raise _unreadable(path, str(broken)) from broken
    try:
        if values["format"] not in READABLE:
            raise _unreadable(path, f"its format is {values['format']!r}, and this release reads {FORMAT}")
        return from_json(values)
    except (KeyError, TypeError, AttributeError) as broken:
        raise _unreadable(path, f"{broken!r}") from broken


def save(path: Path, state: State) -> None:
    """Write `state` so that a crash leaves the old file or the new one."""
    home.replace(path, (json.dumps({"format": FORMAT, **as_json(state)}, indent=2) + "\n").encode())


def as_json(state: State) -> dict[str, Any]:
    """What crosses to the serving processes and to disk."""
    return asdict(state)


def from_json(values: Mapping[str, Any]) -> State:
    """The opposite of `as_json`."""
    models = {name: _model(model) for name, model in values["models"].items()}
    return _checked(State(values["generation"], models))


def _model(values: Mapping[str, Any]) -> Model:
    versions = {number: _checked(Version(**version)) for number, version in values["versions"].items()}
    for number, version in versions.items():
        elsewhere = version.kind == "remote" and not version.file
        named = version.file not in ("", ".", "..") and Path(version.file).name == version.file and version.file.isprintable()
        if not elsewhere and not named:
            raise TypeError(f"the file of {number} is {version.file!r}")
        if not 0 <= version.min_workers <= MAX_WORKERS:
            raise TypeError(f"min_workers of {number} is {version.min_workers}")
    plan = _plan(values["plan"]) if values["plan"] else None
    for number in (values["default"], *(plan.versions if plan else ())):
        if number not in versions:
            raise KeyError(number)
    return _checked(Model(values["default"], versions, plan, values.get("plans", 0)))


def _plan(values: Mapping[str, Any]) -> TrafficPlan:
    """Also one that a release before the third format put in force."""
    if "treatment" in values:
        values = {
            "treatments": [{"version": values["treatment"], "share": values["share"]}],
            "unit": f"header:{values['unit_header']}",
            "a_a": True,  # nobody had asked
            **{name: values[name] for name in ("model", "control", "salt")},
        }
    treatments = tuple(_checked(Treatment(**each)) for each in values["treatments"])
    shares = [each.share for each in treatments]
    if not (all(0 <= each <= 1 for each in shares) and sum(shares) <= 1 + 1e-9):
        raise TypeError(f"the shares are {shares!r:.60}")
    shadows = tuple(values.get("shadows", ()))
    if not all(isinstance(each, str) for each in shadows):
        raise TypeError(f"shadows are {shadows!r:.60}")
    canary = _canary(values["canary"]) if values.get("canary") else None
    if canary and len(treatments) != 1:
        raise TypeError(f"a canary has {len(treatments)} treatments")
    if canary and shares != [canaries.share(canary)]:
        raise TypeError(f"a canary that is {canary.state} has the share {shares[0]}")
    return _checked(TrafficPlan(**{**values, "treatments": treatments, "shadows": shadows, "canary": canary}))


def _canary(values: Mapping[str, Any]) -> Canary:
    steps, rails = tuple(values["steps"]), _checked(Guardrails(**values["guardrails"]))
    canary = _checked(Canary(**{**values, "steps": steps, "guardrails": rails}))
    try:
        canaries.canary_from(values)  # refuses whatever no client could have sent
    except RequestError as error:
        raise TypeError(error.problem) from error
    if not 0 <= canary.step < len(steps):
        raise TypeError(f"the canary is at step {canary.step} of {steps!r:.60}")
    return canary


def _checked(built: Part) -> Part:
    """Raise TypeError for a plain field that does not hold what its annotation says: JSON can hold anything."""
    for each in fields(built):
        value, choices = getattr(built, each.name), get_args(each.type)
        if each.type not in PLAIN and get_origin(each.type) is not Literal:
            continue
        right = type(value) in PLAIN[each.type] if each.type in PLAIN else value in choices
        if not right or (type(value) is int and abs(value) > LARGEST):
            raise TypeError(f"{each.name} is {value!r:.60}")
    return built


def _is_arm(name: str, number: str) -> RequestError:
    return RequestError(
        f"Model version {number} of model {name} is an arm of its traffic plan.",
        f"DELETE /models/{name}/traffic first.",
        status=409,
        kind="ConflictStatusException",
    )


def _moved_on(name: str, expected: int | None, number: int) -> RequestError:
    """Two who change one plan: the second has seen what is no longer so."""
    said = f"plan {number} is in force" if number else "no plan is in force"
    return RequestError(
        f"Of model {name} {said}, and not {expected}.",
        f"Look at it, GET /models/{name}/traffic, and decide anew.",
        status=409,
        kind="ConflictStatusException",
    )


def _no_version(problem: str) -> RequestError:
    return RequestError(problem, status=404, kind="ModelVersionNotFoundException")


def _unreadable(path: Path, reason: str) -> HomeError:
    return HomeError(
        f"{path} is not a state of the endpoint ({reason}).",
        "Move it away and register the models again: their archives are still in the model store.",
    )
