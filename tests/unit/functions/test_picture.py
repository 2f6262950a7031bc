"""The decoder: what it reads, how exactly, and what it refuses at what price."""

import csv
import io
import struct
import time
import zlib

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

from functions.common.errors import ImageRejected
from functions.common.picture import encode_png, read_picture, statistics

# Pillow warns about broken EXIF, which these files have on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def encoded(image, file_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def price_of_the_largest_photo():
    """Processor seconds that a picture of 50 megapixels takes, the most that is accepted."""
    photo = encoded(Image.linear_gradient("L").resize((8000, 6250)).convert("1"), "PNG")
    started = time.process_time()
    read_picture(photo, 32)
    return time.process_time() - started


@pytest.fixture
def scene():
    """A picture whose four corners differ: upright or not is visible."""
    image = Image.new("RGB", (120, 80), "grey")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 59, 39), fill="red")
    draw.rectangle((60, 0, 119, 39), fill="lime")
    draw.rectangle((0, 40, 59, 79), fill="blue")
    return image


def corners(image):
    side = image.width - 1
    return [image.getpixel(at) for at in ((0, 0), (side, 0), (0, side), (side, side))]


def difference(one, other):
    """Mean absolute difference in grey levels."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


def test_every_awkward_file_is_read_or_refused_as_expected(shared_data):
    folder = shared_data / "awkward"
    with (folder / "EXPECTED.csv").open(newline="", encoding="utf-8") as table:
        expected = {row["file"]: row["expected"] for row in csv.DictReader(table)}
    outcome = {}
    for name in expected:
        try:
            picture = read_picture((folder / name).read_bytes(), 32)
        except ImageRejected:
            outcome[name] = "refuse"
        else:
            assert (picture.image.mode, picture.image.size) == ("RGB", (32, 32))
            assert len(encode_png(picture.image)) < 8192
            outcome[name] = "read"

    assert len(expected) >= 40
    assert outcome == expected


def test_every_real_photograph_is_read(shared_data):
    photographs = [path for path in (shared_data / "photos").glob("*/*") if path.is_file()]

    assert len(photographs) > 100
    for path in photographs[::4]:
        read_picture(path.read_bytes(), 32)


@pytest.mark.parametrize(
    ("file_format", "name"), [("JPEG", "JPEG"), ("PNG", "PNG"), ("WEBP", "WEBP"), ("MPO", "JPEG")]
)
def test_the_accepted_formats_give_the_same_picture(scene, file_format, name):
    options = {"MPO": {"save_all": True, "append_images": [Image.new("RGB", (120, 80))]}}.get(file_format, {})

    picture = read_picture(encoded(scene, file_format, **options), 32)

    assert (picture.width, picture.height, picture.format) == (120, 80, name)
    assert difference(picture.image, scene.resize((32, 32), Image.Resampling.LANCZOS)) < 4


@pytest.mark.parametrize("file_format", ["GIF", "BMP", "TIFF", "ICO", "PPM"])
def test_other_formats_are_refused_by_name_of_the_accepted_ones(scene, file_format):
    with pytest.raises(ImageRejected, match="not a JPEG, PNG or WebP"):
        read_picture(encoded(scene, file_format), 32)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_pictures_are_turned_upright_by_their_exif_orientation(scene, file_format, orientation):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = scene.transpose(undo[orientation]) if orientation in undo else scene
    exif = Image.Exif()
    exif[0x0112] = orientation

    picture = read_picture(encoded(stored, file_format, exif=exif), 32)

    assert (picture.width, picture.height) == (120, 80)
    for seen, meant in zip(corners(picture.image), ("red", "lime", "blue", "grey"), strict=True):
        expected = Image.new("RGB", (1, 1), meant).getpixel((0, 0))
        assert max(abs(a - b) for a, b in zip(seen, expected, strict=True)) < 40


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + b"\xff" * 500])
def test_a_corrupt_exif_block_does_not_hide_the_picture(scene, exif):
    read_picture(encoded(scene, "JPEG", exif=exif), 32)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_parts_show_a_white_page(mode):
    image = Image.new("LA" if mode == "LA" else "RGBA", (64, 64), 0)
    if mode == "PA":
        image = image.quantize(2)

    assert corners(read_picture(encoded(image, "PNG"), 32).image) == [(255, 255, 255)] * 4


def test_half_transparent_black_is_mid_grey_and_bleeds_no_hidden_colour():
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 128))
    image.paste((255, 0, 0, 0), (32, 0, 64, 64))

    picture = read_picture(encoded(image, "PNG"), 32).image

    assert picture.getpixel((2, 16)) == (127, 127, 127)
    assert picture.getpixel((30, 16)) == (255, 255, 255)
    assert all(red == green == blue for red, green, blue in picture.get_flattened_data())


def test_a_transparent_palette_colour_shows_a_white_page():
    image = Image.new("P", (64, 64), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])

    assert corners(read_picture(encoded(image, "PNG", transparency=1), 32).image) == [(255, 255, 255)] * 4


def test_16_bit_grey_keeps_its_shades_and_its_transparent_value():
    row = struct.pack("<64H", *[0x1234] * 32, *[0x8000] * 32)
    image = Image.frombytes("I;16", (64, 64), row * 64)

    plain = read_picture(encoded(image, "PNG"), 32).image
    transparent = read_picture(_with_chunk(encoded(image, "PNG"), b"tRNS", b"\x12\x34"), 32).image

    assert (plain.getpixel((2, 2)), plain.getpixel((30, 2))) == ((0x12,) * 3, (0x80,) * 3)
    assert (transparent.getpixel((2, 2)), transparent.getpixel((30, 2))) == ((255,) * 3, (0x80,) * 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_every_mode_ends_as_rgb(scene, mode):
    file_format = "JPEG" if mode == "CMYK" else "PNG"

    picture = read_picture(encoded(scene.convert(mode), file_format), 32)

    assert (picture.image.mode, picture.image.size) == ("RGB", (32, 32))
    assert 0.2 < statistics(picture.image).brightness < 0.6


@pytest.mark.parametrize("file_format", ["WEBP", "PNG"])
def test_only_the_first_frame_of_an_animation_counts(file_format):
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "lime", "blue")]

    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], duration=100)

    red, green, blue = read_picture(data, 32).image.getpixel((16, 16))
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_fast_decoding_stays_below_one_grey_level_of_plain_lanczos(shared_data, file_format):
    photograph = max(
        (shared_data / "photos" / "motorcycle").glob("*.jpg"), key=lambda path: path.stat().st_size
    )
    big = Image.open(photograph).convert("RGB").resize((2000, 1500), Image.Resampling.BICUBIC)
    data = encoded(big, file_format, **({"quality": 92} if file_format == "JPEG" else {"compress_level": 1}))

    fast = read_picture(data, 32).image

    plain = Image.open(io.BytesIO(data)).convert("RGB").resize((32, 32), Image.Resampling.LANCZOS)
    assert difference(fast, plain) < 1


def test_a_picture_of_the_models_size_passes_untouched():
    image = Image.effect_noise((32, 32), 80).convert("RGB")

    picture = read_picture(encoded(image, "PNG"), 32)

    assert picture.image.tobytes() == image.tobytes()
    assert read_picture(encode_png(picture.image), 32).image.tobytes() == image.tobytes()


def test_the_small_picture_carries_nothing_of_the_originals_metadata(scene):
    exif = Image.Exif()
    exif[0x010E] = "a secret description"
    data = encoded(scene, "JPEG", exif=exif, icc_profile=b"a secret profile", comment=b"a secret comment")

    assert b"secret" not in encode_png(read_picture(data, 32).image)


def test_the_size_limits_are_exact():
    with pytest.raises(ImageRejected, match="0 bytes"):
        read_picture(b"", 32)
    with pytest.raises(ImageRejected, match="10,000,001 bytes, the limit is 10,000,000"):
        read_picture(bytes(10_000_001), 32)
    with pytest.raises(ImageRejected, match="not a JPEG, PNG or WebP"):
        read_picture(bytes(10_000_000), 32)


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _with_chunk(png, kind, data, copies=1):
    """A PNG file with chunks put in before its image data."""
    at = png.index(b"IDAT") - 4
    return png[:at] + _chunk(kind, data) * copies + png[at:]


def _png_header(width, height):
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def _resized_jpeg_header(jpeg, width, height):
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def _webp(kind, header):
    return (
        b"RIFF"
        + struct.pack("<I", 4 + 8 + len(header))
        + b"WEBP"
        + kind
        + struct.pack("<I", len(header))
        + header
    )


def _progressive_with_scans(image, count):
    jpeg = encoded(image, "JPEG", progressive=True)
    last_scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return jpeg[:-2] + last_scan * count + b"\xff\xd9"


TINY = Image.new("RGB", (8, 8))
BARE = Image.new("L", (1600, 1200))
WIDE = Image.new("1", (14_000, 3500))
TEXT_BOMB = b"key\0\0" + zlib.compress(b"a" * 1_000_000, 9)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(
            _png_header(7072, 7072) + _chunk(b"IDAT", b"x"), "7072 x 7072 pixels", id="png over 50 megapixels"
        ),
        pytest.param(_png_header(2**31 - 1, 2**31 - 1) + _chunk(b"IDAT", b"x"), "pixels", id="png bomb"),
        pytest.param(
            _resized_jpeg_header(encoded(TINY, "JPEG"), 65500, 65500), "65500 x 65500", id="jpeg bomb"
        ),
        pytest.param(_webp(b"VP8X", bytes(4) + b"\xff" * 6), "16777216 x 16777216", id="webp bomb, extended"),
        pytest.param(_webp(b"VP8L", b"\x2f" + b"\xff" * 20), "16384 x 16384", id="webp bomb, lossless"),
        pytest.param(
            _webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + b"\xff" * 8), "16383 x 16383", id="webp bomb, lossy"
        ),
        pytest.param(_with_chunk(encoded(TINY, "PNG"), b"zTXt", TEXT_BOMB, 5000), "text", id="png text bomb"),
        pytest.param(
            _with_chunk(encoded(TINY, "PNG"), b"iCCP", TEXT_BOMB, 5000), "text", id="png profile bomb"
        ),
        pytest.param(
            _with_chunk(encoded(TINY, "PNG"), b"IDAT", b"", 800_000), "parts", id="png of empty chunks"
        ),
        pytest.param(_progressive_with_scans(TINY, 100_000), "parts", id="jpeg scan bomb"),
        pytest.param(
            _progressive_with_scans(BARE, 60), "times over", id="jpeg of 2 megapixels and over 60 scans"
        ),
        pytest.param(encoded(WIDE, "PNG"), "bare surface", id="bare png of 49 megapixels"),
        pytest.param(
            encoded(WIDE, "WEBP", lossless=True, method=0), "bare surface", id="bare webp of 49 megapixels"
        ),
        pytest.param(b"\xff\xd8" + b"\xff\xe1\0\2" * 2_000_000, "parts", id="jpeg of empty segments"),
        pytest.param(b"\xff\xd8\xff\xe0\0\2" + bytes(9_000_000), "before any picture", id="jpeg of zeros"),
    ],
)
def test_a_decompression_bomb_is_refused_cheaply(data, reason, price_of_the_largest_photo):
    """Refusing a file that is built to exhaust the decoder costs less than an honest picture."""
    assert len(data) <= 10_000_000
    started = time.process_time()

    with pytest.raises(ImageRejected, match=reason):
        read_picture(data, 32)

    assert time.process_time() - started < price_of_the_largest_photo


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "JPEG"])
def test_a_bare_surface_of_moderate_size_is_a_picture_too(file_format):
    assert read_picture(encoded(BARE, file_format), 32).width == 1600


def test_a_small_picture_may_have_many_scans():
    read_picture(_progressive_with_scans(TINY, 80), 32)


def test_50_megapixels_are_read():
    slope = Image.linear_gradient("L").resize((10_000, 5_000))

    picture = read_picture(encoded(slope, "JPEG"), 32)

    assert (picture.width, picture.height) == (10_000, 5_000)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_a_file_cut_short_is_refused(shared_data, file_format, share):
    image = Image.effect_noise((300, 200), 60).convert("RGB")
    data = encoded(image, file_format)

    with pytest.raises(ImageRejected):
        read_picture(data[: int(len(data) * share)], 32)


def test_statistics_of_simple_pictures_are_known():
    black, white = Image.new("RGB", (32, 32)), Image.new("RGB", (32, 32), "white")
    checkerboard = Image.new("RGB", (32, 32))
    checkerboard.putdata([(255 * ((x + y) % 2),) * 3 for y in range(32) for x in range(32)])

    assert statistics(black) == (0, 0, 0)
    assert statistics(white) == (1, 0, 0)
    assert statistics(checkerboard) == (0.5, 0.5, 1)


def test_a_blurred_picture_is_less_sharp_and_a_darker_one_less_bright(scene):
    sharp = statistics(read_picture(encoded(scene, "PNG"), 32).image)
    blurred = statistics(read_picture(encoded(scene.resize((4, 4)).resize((120, 80)), "PNG"), 32).image)
    darker = statistics(read_picture(encoded(scene.point(lambda value: value // 2), "PNG"), 32).image)

    assert blurred.sharpness < sharp.sharpness
    assert darker.brightness < sharp.brightness
    assert darker.contrast < sharp.contrast
