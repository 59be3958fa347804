"""Hooks of schemathesis: where a picture is due, it sends one."""

from base64 import b64encode

import schemathesis
from hypothesis import strategies as st

from tests.serving.endpoint import digit

PICTURES = [digit(number) for number in range(1, 6)]

for kind in ("image/png", "image/jpeg", "image/webp", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, st.sampled_from(PICTURES))
schemathesis.openapi.format("byte", st.sampled_from([b64encode(picture).decode() for picture in PICTURES]))
