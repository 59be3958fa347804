"""A lake in an object store: how it is reached, and in words why it cannot be. Knows no table.

Credentials and endpoint are what AWS_* variables say; polars and Delta read them by themselves.
"""

import re

from demlopment.errors import DemlopmentError, HomeError, NotReadyError, SettingsError

OPTIONS = {
    # The libraries' own are ten attempts within three minutes: too long for who has misspelt an endpoint.
    "max_retries": "3",
    "retry_timeout": "20s",
    "connect_timeout": "5s",
    "conditional_put": "etag",  # the store refuses a version that is there: of two writers one comes second
}
READING = {"max_retries": 3, "retry_timeout_ms": 20_000}  # the same to polars, which takes no text for a number
COLOURS = re.compile(r"\x1b\[\d*m")
REFUSALS: tuple[tuple[str, type[DemlopmentError], str, str], ...] = (
    ("NoSuchBucket", HomeError, "The bucket of {address} does not exist", "Create it, or correct data.lake."),
    (
        # The last is all that Delta says where a cloud's own service of credentials refuses to be asked.
        r"http://169\.254\.|/latest/(?:api|meta-data)|MissingAccessKeyId|Operation not supported",
        HomeError,
        "No credentials were given for {address}",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    ),
    (
        "40[13] (?:Unauthorized|Forbidden)|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch",
        HomeError,
        "The object store refuses {address} to the given credentials",
        "Correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what they are allowed.",
    ),
    (
        "URL scheme is not allowed",
        HomeError,
        "The endpoint for {address} is not encrypted",
        "Set AWS_ALLOW_HTTP=true if that is meant, or an AWS_ENDPOINT_URL that begins with https.",
    ),
    ("PermanentRedirect|[Rr]edirect without LOCATION", HomeError, "The bucket of {address} is elsewhere", "Set AWS_REGION."),
    (
        "Unable to recognise URL|Unknown scheme|URL did not match",
        SettingsError,
        "{address} is no address of a lake",
        "Set data.lake to a folder or to s3://bucket/prefix.",
    ),
    (
        r"error sending request|timed out|operation timed|5\d\d (?:Internal|Bad|Service|Gateway)",
        NotReadyError,
        "The object store does not answer for {address}: {last}",
        "Correct AWS_ENDPOINT_URL, or try again later.",
    ),
)


def is_remote(address: object) -> bool:
    """Whether an address is a URI rather than a folder.

    >>> is_remote("s3://bucket/lake"), is_remote("var/lake")
    (True, False)
    """
    return "://" in str(address)


def options(address: object) -> dict[str, str] | None:
    """What Delta is told beside an address; None for a folder."""
    return OPTIONS if is_remote(address) else None


def refusal(address: str, said: str) -> DemlopmentError | None:
    """What an object store said in an error, in two sentences; None where it is not the store that is at fault."""
    text = COLOURS.sub("", said)
    last = text.strip().splitlines()[-1].strip(" ↳.")[:200] if text.strip() else ""
    for pattern, kind, problem, remedy in REFUSALS:
        if re.search(pattern, text):
            return kind(f"{problem.format(address=address, last=last)}.", remedy)
    return None
