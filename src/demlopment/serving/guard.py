"""Who is let in on a port of the supervisor, and how a key is changed. Knows no path; serving processes hold `Permits`."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from demlopment.serving.tokens import KeyFile, Permits, Scope


@dataclass(eq=False)
class Guard:
    """The key file, and the permits that follow from it. `tell` brings new permits to the serving processes."""

    keys: KeyFile
    tell: Callable[[Permits], Awaitable[None]]
    now: Callable[[], float] = time.time

    @property
    def required(self) -> bool:
        """Whether requests need a token at all."""
        return self.keys.permits().required

    def open(self) -> Permits:
        """Draw the keys of this run."""
        self.keys.create(self.now())
        return self.keys.permits()

    def admit(self, scope: Scope, method: str, path: str, headers: Mapping[bytes, bytes]) -> None:
        """Raise RequestError, in TorchServe's words, for a request without the token that it needs."""
        self.keys.permits().refuse(scope, method, path, headers, self.now())

    async def rotate(self, kind: str | None, headers: Mapping[bytes, bytes]) -> None:
        """Replace one key, here and in every serving process. Raises RequestError without the API key."""
        self.keys.rotate(kind, headers, self.now())
        await self.tell(self.keys.permits())

    def close(self) -> None:
        """The keys end with the endpoint."""
        self.keys.remove()
