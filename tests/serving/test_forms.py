import asyncio

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demlopment.errors import RequestError
from demlopment.serving import forms
from demlopment.serving.calls import Field

MULTIPART = b"multipart/form-data; boundary=edge"


def picture(kind: bytes, body: bytes) -> bytes:
    return asyncio.run(forms.picture({b"content-type": kind}, body))


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


def fields(kind: str, body: bytes) -> tuple[Field, ...]:
    return asyncio.run(forms.fields({b"content-type": kind.encode()} if kind else {}, body))


@pytest.mark.parametrize(
    ("kind", "body", "wanted"),
    [
        ("", b"\x00\xff", (Field("body", b"\x00\xff"),)),
        ("application/json; charset=utf-8", b"[1]", (Field("body", b"[1]", "application/json"),)),
        ("TEXT/plain", b"words", (Field("body", b"words", "TEXT/plain"),)),
        ("multipart/form-data", b"--b", (Field("body", b"--b", "multipart/form-data"),)),
        ("application/x-www-form-urlencoded", b"", ()),
        ("application/x-www-form-urlencoded", b"a=&b", (Field("a", b""),)),
        ("application/x-www-form-urlencoded", b"a=1&a=2", (Field("a", b"1"), Field("a", b"2"))),
        ("application/x-www-form-urlencoded", b"c=%47r%C3%B6+%FF", (Field("c", b"Gr\xc3\xb6 \xff"),)),
        ('multipart/form-data; boundary="b"', b"--b--\r\n", ()),
    ],
)
def test_a_body_becomes_the_fields_that_torchserve_was_seen_to_make(kind: str, body: bytes, wanted: tuple[Field, ...]) -> None:
    assert fields(kind, body) == wanted


def test_only_the_files_of_a_form_have_a_type() -> None:
    head = b"--edge\r\nContent-Disposition: form-data; name="
    parts = (
        head + b'"text"\r\nContent-Type: application/json\r\n\r\n{}\r\n'
        + head + b'"typed"; filename="a"\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<b>\r\n'
        + head + b'"file"; filename="b"\r\n\r\n\x00\r\n--edge--\r\n'
    )  # fmt: skip

    found = fields("multipart/form-data; boundary=edge", parts)

    assert found == (
        Field("text", b"{}"),
        Field("typed", b"<b>", "text/html"),
        Field("file", b"\x00", "application/octet-stream"),
    )


@pytest.mark.parametrize("body", [b"x", b"--x", b"--edge\r\nno header\r\n\r\n1\r\n--edge--"])
def test_what_is_no_form_although_its_type_says_so_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError, match="form cannot be read"):
        fields("multipart/form-data; boundary=edge", body)


def test_of_a_form_that_is_torn_the_whole_fields_remain() -> None:
    body = b'--edge\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--edge\r\nContent-Disposition: form-'

    assert fields("multipart/form-data; boundary=edge", body) == (Field("a", b"1"),)


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "query"])
def test_too_many_fields_are_refused(kind: str) -> None:
    many = b"&".join([b"a=1"] * (forms.MAX_PARTS + 1))

    with pytest.raises(RequestError, match="1000"):
        forms.query(many) if kind == "query" else fields(kind, many)


def test_a_query_is_fields_with_the_bytes_that_were_escaped() -> None:
    assert forms.query(b"a=1&a=%C3%B6&c") == (Field("a", b"1"), Field("a", "ö".encode()), Field("c", b""))
