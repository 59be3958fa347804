"""Another server that answers for a version: its address, and which of its paths is which of ours. Knows no connection."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from demlopment.errors import RequestError, SettingsError
from demlopment.serving.paths import Target

# A client of HTTP resolves dots, so a path with them may be one of another model, or of no model.
DOTS = (".", "..")
# As a client of that server would write it, without user, query and fragment.
ADDRESS = re.compile(r"(https?://[A-Za-z0-9.\-\[\]:]+(?:/[A-Za-z0-9._~-]+)*)/predictions/([^/?#@\s]+)(?:/([^/?#@\s]+))?")


@dataclass(frozen=True)
class Upstream:
    """A model of another server, or one version of it, by its TorchServe paths."""

    url: str  # as it was registered
    base: str
    model: str
    version: str | None  # None: the one that answers there by default

    @classmethod
    def at(cls, url: str) -> Self:
        """Raises RequestError for what is not the address of a TorchServe's predictions."""
        found = ADDRESS.fullmatch(url)
        try:
            wrong = found is None or _has_dots(unquote(url)) or urlsplit(url).port == 0
        except ValueError:
            wrong = True
        if wrong or found is None:
            raise RequestError(
                f"The upstream {url!r:.200} is not http://HOST:PORT/predictions/MODEL[/VERSION].",
                "Give the URL that clients of that server use.",
            )
        version = None if found[3] is None else unquote(found[3])
        return cls(url, found[1], unquote(found[2]), version)

    @property
    def health(self) -> str:
        return f"{self.base}/ping"

    def path(self, target: Target) -> str:
        """The URL that answers what a path of ours asks. Raises RequestError, 501, where it has none, 404 for a `..`."""
        if _has_dots(target.rest):
            raise RequestError(
                f"The path {target.rest!r:.60} leads out of the model.",
                "Ask for one without `.` and `..`.",
                status=404,
                kind="ResourceNotFoundException",
            )
        verb = target.verb
        model, version = quote(self.model, safe=""), None if self.version is None else quote(self.version, safe="")
        match target.dialect:
            case "torchserve":
                first = "predictions" if verb == "predict" else "explanations"
                rest = [quote(target.rest, safe="/")] if target.rest and version else []
                return "/".join((self.base, first, model, *([version] if version else []), *rest))
            case "query":
                return "/".join((self.base, model, *([version] if version else []), "predict"))
            case "kserve-v1" if version is None:
                return f"{self.base}/v1/models/{model}:{verb}"
            case "kserve-v2" if version is None:
                return f"{self.base}/v2/models/{model}/{'infer' if verb == 'predict' else verb}"
        raise RequestError(
            f"{self.url} is one version of a model, which KServe's protocol cannot ask a TorchServe for.",
            "Register it without a version, or ask /predictions.",
            status=501,
            kind="InternalServerException",
        )


@dataclass(frozen=True)
class Allowed:
    """Which addresses may answer for us: whoever may register must not make this machine ask anything it can reach."""

    expressions: tuple[re.Pattern[str], ...] = ()

    @classmethod
    def of(cls, setting: str) -> Self:
        """From endpoint.allowed_upstreams. Raises SettingsError for an expression that is none."""
        parts = (part.strip() for part in setting.split(","))
        try:
            return cls(tuple(re.compile(part) for part in parts if part))
        except re.error as broken:
            raise SettingsError(
                f"endpoint.allowed_upstreams has {broken.pattern!r}, which is not a regular expression ({broken}).",
                "Correct it; commas separate expressions.",
            ) from broken

    def refuse(self, url: str) -> None:
        """Raise RequestError for an address that no expression matches whole."""
        if not any(expression.fullmatch(url) for expression in self.expressions):
            raise RequestError(
                f"The upstream {url} is not allowed.",
                "Have an expression of endpoint.allowed_upstreams match it.",
                kind="InvalidModelException",
            )


def _has_dots(path: str) -> bool:
    return any(part in DOTS for part in path.split("/"))
