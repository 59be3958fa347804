import asyncio

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demlopment.errors import RequestError
from demlopment.serving import forms

MULTIPART = b"multipart/form-data; boundary=edge"


def picture(kind: bytes, body: bytes) -> bytes:
    return asyncio.run(forms.picture({b"content-type": kind}, body))


@settings(deadline=None)
@given(content=st.binary(min_size=1, max_size=3000), name=st.sampled_from(["data", "body", "image"]))
def test_a_form_written_by_an_http_library_gives_the_bytes_that_went_in(content: bytes, name: str) -> None:
    with_file = httpx2.Request("POST", "http://host/", files={name: ("a.png", content)})
    as_field = (
        b'--edge\r\nContent-Disposition: form-data; name="' + name.encode() + b'"\r\n\r\n' + content + b"\r\n--edge--\r\n"
    )

    found = picture(with_file.headers["content-type"].encode(), with_file.read())

    assert found == content
    if b"\r\n--edge" not in b"\r\n" + content:
        assert picture(MULTIPART, as_field) == content


@settings(deadline=None)
@given(
    kind=st.sampled_from(
        [MULTIPART, b"multipart/form-data", b"multipart/form-data; boundary=", b"application/x-www-form-urlencoded"]
    ),
    body=st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from(
                [
                    b"--edge",
                    b"\r\n",
                    b"--",
                    b'Content-Disposition: form-data; name="data"',
                    b"; filename=",
                    b"x",
                    b"=",
                    b"&",
                    b"%ff",
                ]
            ),
            max_size=14,
        ).map(b"".join),
    ),
)
def test_no_form_is_anything_but_a_picture_or_the_clients_fault(kind: bytes, body: bytes) -> None:
    try:
        status = 200 if isinstance(picture(kind, body), bytes) else 500
    except RequestError as error:
        status = error.status

    assert status in (200, 400)


def test_the_field_named_data_is_the_picture_among_others() -> None:
    request = httpx2.Request("POST", "http://host/", data={"note": "mine"}, files={"data": b"\x89PNG", "other": b"x"})

    assert picture(request.headers["content-type"].encode(), request.read()) == b"\x89PNG"


def test_a_form_with_several_fields_and_none_named_data_is_refused_by_their_names() -> None:
    with pytest.raises(RequestError, match=r"\['a', 'b'\]"):
        picture(b"application/x-www-form-urlencoded", b"a=1&b=2")
