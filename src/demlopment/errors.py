"""Every error that a person, a file or a network can cause. Knows nothing of where it will be shown.

    DemlopmentError       shown by the command line as two sentences, without a traceback
    ├── DataError         the input is wrong
    ├── ArchiveError      the artefact is wrong
    ├── RequestError      the client is wrong (4xx)
    ├── NotReadyError     try later (503)
    ├── SettingsError     a setting is wrong
    ├── HomeError         the place where everything lives is missing, locked, full or not writable
    └── StoryError        a demonstration did not do what it claims

A message is two short sentences: what is wrong with which thing, with the value; what to do next.
"""


class DemlopmentError(Exception):
    """Something is wrong with a thing (`problem`), and this is what to do next (`remedy`)."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}".strip()


class DataError(DemlopmentError):
    """The input is wrong."""


class ArchiveError(DemlopmentError):
    """The artefact is wrong."""


class RequestError(DemlopmentError):
    """The client is wrong: `status` and `kind` (TorchServe's exception name) go on the wire with the message."""

    def __init__(self, problem: str, remedy: str = "", *, status: int = 400, kind: str = "BadRequestException") -> None:
        super().__init__(problem, remedy)
        self.status = status
        self.kind = kind


class NotReadyError(DemlopmentError):
    """The thing exists but cannot answer yet, or not any more: try later."""


class SettingsError(DemlopmentError):
    """A setting is unknown, or its value is out of range."""


class HomeError(DemlopmentError):
    """The place where everything lives is missing, locked, full or not writable."""


class StoryError(DemlopmentError):
    """A demonstration did not do what it claims."""
