"""Whatever bytes come in, the decoder answers with a picture or with ImageRejected."""

import io

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from functions.common.errors import ImageRejected
from functions.common.picture import read_picture

# Pillow warns about broken EXIF, which these files have on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

MAGICS = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\0\0\0WEBPVP8 ", b"RIFF\x40\0\0\0WEBPVP8X", b""]


def _encoded(file_format, mode="RGB", **options):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "words"
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize((24, 16)).convert(mode).save(buffer, file_format, exif=exif, **options)
    return buffer.getvalue()


SEEDS = [
    _encoded("JPEG"),
    _encoded("JPEG", "CMYK"),
    _encoded("JPEG", progressive=True),
    _encoded("MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))]),
    _encoded("PNG"),
    _encoded("PNG", "P"),
    _encoded("PNG", "LA"),
    _encoded("PNG", save_all=True, append_images=[Image.new("RGB", (24, 16))]),
    _encoded("WEBP"),
    _encoded("WEBP", "RGBA", lossless=True),
    _encoded("WEBP", save_all=True, append_images=[Image.new("RGB", (24, 16))]),
]

relaxed = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])


def read_or_refuse(data):
    try:
        picture = read_picture(data, 32)
    except ImageRejected:
        return
    assert (picture.image.mode, picture.image.size) == ("RGB", (32, 32))


@pytest.mark.parametrize("data", SEEDS, ids=range(len(SEEDS)))
def test_the_seeds_themselves_are_read(data):
    assert read_picture(data, 32).image.size == (32, 32)


@relaxed
@given(magic=st.sampled_from(MAGICS), rest=st.binary(max_size=400))
@example(magic=b"\xff\xd8\xff", rest=b"")
def test_random_bytes(magic, rest):
    read_or_refuse(magic + rest)


@relaxed
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(
        st.tuples(st.floats(0, 0.9999), st.binary(min_size=1, max_size=4)), min_size=1, max_size=6
    ),
)
def test_pictures_with_some_bytes_changed(seed, changes):
    data = bytearray(seed)
    for place, new in changes:
        start = int(place * len(data))
        data[start : start + len(new)] = new
    read_or_refuse(bytes(data))


@relaxed
@given(seed=st.sampled_from(SEEDS), cut=st.floats(0, 1), other=st.sampled_from(SEEDS), from_=st.floats(0, 1))
def test_pictures_cut_and_joined(seed, cut, other, from_):
    read_or_refuse(seed[: int(cut * len(seed))] + other[int(from_ * len(other)) :])
