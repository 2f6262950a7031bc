"""The one decoder of pictures: the function, the serving program and the training all read through it.

Pillow does the decoding. This module enforces the limits that untrusted uploads require: three formats,
recognised by their first bytes; size and pixels checked before anything is decoded; bounds on what a
header may make Pillow do; and one error, ImageRejected, for anything that is not an acceptable picture.
"""

import io
import re
import struct
from collections.abc import Callable
from operator import mul
from typing import NamedTuple, TypeVar

from PIL import Image, ImageChops

from functions.common.errors import ImageRejected

MAX_BYTES = 10_000_000
MAX_PIXELS = 50_000_000
# Transparent pixels show this colour: cut-out photographs are nearly always meant for a white page.
BACKGROUND = (255, 255, 255)

# A resize may start from a cheap reduction (the JPEG decoder's own scaling, box averages) that leaves at
# least this many times the final side: several times faster, and below one grey level away on average.
REDUCING_GAP = 4.0

# Photographs have less than 40 pixels to a byte, strongly compressed ones included. A file with far more is a bare
# surface or a bomb: 38 bytes of WebP are enough for 50 megapixels. Small pictures cost little and may be bare.
_MAX_PIXELS_PER_BYTE = 150
_FREE_PIXELS = 2_000_000

# libjpeg works through all blocks once for each scan, and a scan of nothing takes a few bytes, so a small
# progressive file can keep it busy for hours. Encoders write about ten scans.
_MAX_JPEG_SCANS = 100
_USUAL_JPEG_SCANS = 12
_MAX_SCANNED_PIXELS = 20_000_000
_MAX_JPEG_SEGMENTS = 2_000
_MAX_JPEG_JUNK = 65_536
_JPEG_SEGMENT = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")
_JPEG_END = 0xD9
_JPEG_SCAN = 0xDA

# Pillow inflates every text and profile chunk, up to 1 MiB each.
_MAX_PNG_COMPRESSED_CHUNKS = 16
_MAX_PNG_CHUNKS = 20_000
_PNG_COMPRESSED_CHUNKS = (b"zTXt", b"iTXt", b"iCCP")

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_GREYS = range(256)
_GREYS_SQUARED = [grey**2 for grey in _GREYS]

_Result = TypeVar("_Result")


class Picture(NamedTuple):
    """A decoded picture: `image` is RGB, side x side; width and height are the upright original's, in pixels."""

    image: Image.Image
    width: int
    height: int
    format: str


class Statistics(NamedTuple):
    """Simple properties of a picture as the model sees it; each from 0 to 1 (see `statistics`)."""

    brightness: float
    contrast: float
    sharpness: float


def read_picture(data: bytes, side: int) -> Picture:
    """Decode the first frame of a JPEG (MPO included), PNG or WebP file into an RGB square of `side` pixels.

    The picture is turned upright by its EXIF (or XMP) orientation, an alpha channel is laid over BACKGROUND,
    and the whole of it is squeezed into the square with LANCZOS; colour profiles are not applied.

    Raises ImageRejected for more than MAX_BYTES, more than MAX_PIXELS, other formats, and files that are
    damaged, cut short or built to exhaust the decoder (absurdly many pixels to a byte, or scans).
    """
    check_size(len(data))
    file_format, open_file = _format(data)
    encoded = _pillow(lambda: open_file(data))
    _check_pixels(*encoded.size, len(data))
    width, height = encoded.size
    box = _pillow(lambda: _decode(encoded, side))
    orientation = _orientation(encoded)
    if orientation >= 5:
        width, height = height, width
    image = _pillow(lambda: _square(encoded, side, box))
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    return Picture(image, width, height, file_format)


def check_size(length: int) -> None:
    """Raise ImageRejected unless a file of `length` bytes is worth reading."""
    if length == 0:
        raise ImageRejected("The file is empty (0 bytes); upload the picture again.")
    if length > MAX_BYTES:
        raise ImageRejected(
            f"The file has {length:,} bytes, the limit is {MAX_BYTES:,}; upload a smaller copy."
        )


def encode_png(image: Image.Image) -> bytes:
    """A PNG file of the image's pixels alone: no profile, text or EXIF of the original."""
    buffer = io.BytesIO()
    Image.frombytes(image.mode, image.size, image.tobytes()).save(buffer, "PNG")
    return buffer.getvalue()


def statistics(image: Image.Image) -> Statistics:
    """Brightness, contrast and sharpness of an RGB image's luma L (ITU-R 601, 0 to 1).

    brightness: mean of L. contrast: standard deviation of L. sharpness: mean absolute difference of
    neighbouring pixels of L, the mean of the horizontal and the vertical one (the absolute-gradient focus
    measure; Pertuz, Puig, Garcia, Pattern Recognition 46, 2013); 0 for a flat picture.

    Measured on the model's small input, so that pictures of any size can be compared, and without
    NumPy, which would make the function's package eight times larger.
    """
    luma = image.convert("L")
    width, height = luma.size
    mean, square = _moments(luma)
    across, _ = _moments(
        ImageChops.difference(luma.crop((1, 0, width, height)), luma.crop((0, 0, width - 1, height)))
    )
    down, _ = _moments(
        ImageChops.difference(luma.crop((0, 1, width, height)), luma.crop((0, 0, width, height - 1)))
    )
    return Statistics(
        brightness=round(mean / 255, 4),
        contrast=round((square - mean**2) ** 0.5 / 255, 4),
        sharpness=round((across + down) / 2 / 255, 4),
    )


def _moments(luma: Image.Image) -> tuple[float, float]:
    """Mean of the pixels and of their squares; zero for no pixels. Pillow counts several times faster than Python."""
    counts = luma.histogram()
    pixels = max(1, sum(counts))
    return sum(map(mul, counts, _GREYS)) / pixels, sum(map(mul, counts, _GREYS_SQUARED)) / pixels


def _format(data: bytes) -> tuple[str, Callable[[bytes], Image.Image]]:
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG", _open_jpeg
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG", _open_png
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP", _open_webp
    raise ImageRejected("The file is not a JPEG, PNG or WebP picture; convert it and upload it again.")


# The plugins are used directly: Image.open would try formats that nobody asked for, and would take a phone's
# JPEG with a second picture behind the first (MPO) for something else. Each is imported when first needed.


def _open_jpeg(data: bytes) -> Image.Image:
    scans = _count_jpeg_scans(data)
    from PIL import JpegImagePlugin  # noqa: PLC0415

    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    if scans > _USUAL_JPEG_SCANS and scans * image.width * image.height > _MAX_SCANNED_PIXELS:
        raise ImageRejected(
            f"The JPEG file draws its {image.width} x {image.height} pixels {scans} times over;"
            " save a fresh copy and upload that."
        )
    return image


def _open_png(data: bytes) -> Image.Image:
    _check_png_chunks(data)
    from PIL import PngImagePlugin  # noqa: PLC0415

    return PngImagePlugin.PngImageFile(io.BytesIO(data))


def _open_webp(data: bytes) -> Image.Image:
    # Pillow's plugin allocates the canvas when it opens a file.
    _check_pixels(*_webp_size(data), len(data))
    from PIL import WebPImagePlugin  # noqa: PLC0415

    return WebPImagePlugin.WebPImageFile(io.BytesIO(data))


def _pillow(call: Callable[[], _Result]) -> _Result:
    """Run one step in Pillow, which raises nearly every built-in exception on bad files."""
    try:
        return call()
    except ImageRejected:
        raise
    except Exception as error:
        said = "".join(character for character in str(error)[:150] if character.isprintable())
        raise ImageRejected(
            f"The file is damaged, cut short or not an acceptable picture ({said or type(error).__name__});"
            " upload the original again."
        ) from error


def _check_pixels(width: int, height: int, length: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageRejected(
            f"The picture has {width} x {height} pixels, the limit is {MAX_PIXELS // 1_000_000} million;"
            " upload a smaller copy."
        )
    if width * height > max(_FREE_PIXELS, _MAX_PIXELS_PER_BYTE * length):
        raise ImageRejected(
            f"The file has {length:,} bytes for {width} x {height} pixels, so it shows a bare surface at most;"
            " upload the original photograph."
        )


def _count_jpeg_scans(data: bytes) -> int:
    """Walk through segments and scans up to the end of the first picture, as libjpeg will meet them.

    Bytes between segments are skipped one by one, and slowly, by Pillow's reader.
    """
    position, segments, scans, skipped = 2, 0, 0, 0
    while (match := _JPEG_SEGMENT.search(data, position)) and data[match.end() - 1] != _JPEG_END:
        segments += 1
        skipped += match.start() - position if not scans else 0
        scans += data[match.end() - 1] == _JPEG_SCAN
        if scans > _MAX_JPEG_SCANS or segments > _MAX_JPEG_SEGMENTS or skipped > _MAX_JPEG_JUNK:
            raise ImageRejected(
                "The JPEG file has far more parts than a camera writes; save a fresh copy and upload that."
            )
        position = match.end() + int.from_bytes(data[match.end() : match.end() + 2])
    if not scans:
        raise ImageRejected("The JPEG file ends before any picture data; upload the original again.")
    return scans


def _check_png_chunks(data: bytes) -> None:
    position, chunks, compressed = 8, 0, 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        chunks += 1
        compressed += kind in _PNG_COMPRESSED_CHUNKS
        if compressed > _MAX_PNG_COMPRESSED_CHUNKS or chunks > _MAX_PNG_CHUNKS:
            raise ImageRejected(
                "The PNG file has far more text or parts than a picture needs; save a fresh copy and upload that."
            )
        position += length + 12


def _webp_size(data: bytes) -> tuple[int, int]:
    """Canvas size in pixels, from the header (RFC 9649; RFC 6386, 9.1)."""
    header = data[12:30].ljust(18, b"\0")
    if header.startswith(b"VP8X"):
        return int.from_bytes(header[12:15], "little") + 1, int.from_bytes(header[15:18], "little") + 1
    if header.startswith(b"VP8L"):
        bits = int.from_bytes(header[9:13], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", header, 14)
    return width & 0x3FFF, height & 0x3FFF


def _decode(encoded: Image.Image, side: int) -> tuple[float, float, float, float]:
    """Decode all pixels, letting a JPEG decoder scale down; returns the box of the picture in the result."""
    wanted = round(side * REDUCING_GAP)
    scaled = encoded.draft("", (wanted, wanted)) if encoded.format == "JPEG" else None
    encoded.load()
    return scaled[1] if scaled else (0, 0, *encoded.size)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # a picture with corrupt EXIF is still a picture
        return 1
    return value if isinstance(value, int) else 1


def _square(image: Image.Image, side: int, box: tuple[float, float, float, float]) -> Image.Image:
    if image.mode == "I;16":
        image = _eight_bits(image)
    elif image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode in ("1", "P"):  # would be resized without interpolation
        image = image.convert("L" if image.mode == "1" else "RGB")
    square = image.resize((side, side), Image.Resampling.LANCZOS, box, REDUCING_GAP)
    if not square.has_transparency_data:
        return square.convert("RGB")
    square = square.convert("RGBA")
    opaque = Image.new("RGBA", square.size, (*BACKGROUND, 255))
    return Image.alpha_composite(opaque, square).convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey to 8 bits; Pillow's own conversion turns every value above 255 white."""
    wide = image.convert("I")
    grey = wide.point([value >> 8 for value in range(65536)], "L")
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey.putalpha(wide.point([255 * (value != transparent) for value in range(65536)], "L"))
    return grey
