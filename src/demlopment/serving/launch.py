"""What every serving process is started with: the part of the settings that it needs. Knows no process and no socket.

A serving process does not import settings.py, whose libraries take 20 MB.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from demlopment.home import Home
    from demlopment.settings import Endpoint


@dataclass(frozen=True)
class Launch:
    """As the settings of the same names, see settings.Endpoint; places are absolute."""

    home: Path
    model_store: Path
    processes: int
    strict: bool
    allow_handlers: bool
    open_inference_protocol: bool
    cors_allowed_origin: str
    cors_allowed_methods: str
    cors_allowed_headers: str
    max_request_bytes: int
    max_batch: int
    max_header_bytes: int
    header_seconds: float
    body_seconds: float
    max_connections: int
    allowed_upstreams: str
    max_held_mb: int
    unregister_timeout: int
    open_health: bool
    certificate_file: Path | None
    private_key_file: Path | None
    journal_images: float
    journal_full: Literal["refuse", "serve"]
    journal_segment_mb: int
    journal_segment_seconds: float
    journal_max_mb: int

    @classmethod
    def of(cls, home: "Home", settings: "Endpoint") -> "Launch":
        """What `settings` say for an endpoint of `home`."""
        same = {field.name: getattr(settings, field.name) for field in fields(cls) if field.name != "home"}
        store = (settings.model_store or home.models).absolute()
        places = {name: path and path.absolute() for name, path in same.items() if name.endswith("_file")}
        return cls(**{**same, **places, "home": home.root.absolute(), "model_store": store})

    def as_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> "Launch":
        """The opposite of `as_json`."""
        values: dict[str, Any] = json.loads(text)
        for name in ("home", "model_store", "certificate_file", "private_key_file"):
            values[name] = values[name] and Path(values[name])
        return cls(**values)
