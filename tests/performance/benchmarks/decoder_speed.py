"""What the work of serialize_image_data costs beside S3: `python tests/performance/benchmarks/decoder_speed.py [RUNS]`.

Decoding, shrinking, statistics and the small PNG, in CPU milliseconds (the least of RUNS: what else runs on the
machine only ever adds), for pictures made of noise over a gradient, which compress as photographs do.
"""

import io
import sys
import time
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from functions.common.picture import encode_png, read_picture, statistics


def picture(width: int, height: int) -> Image.Image:
    gradient = Image.radial_gradient("L").resize((width, height)).convert("RGB")
    return Image.blend(gradient, Image.effect_noise((width, height), 40).convert("RGB"), 0.2)


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def work(data: bytes) -> None:
    image = read_picture(data, 32).image
    statistics(image)
    encode_png(image)


def milliseconds(data: bytes, runs: int) -> float:
    least = float("inf")
    for _ in range(runs):
        started = time.process_time()
        work(data)
        least = min(least, time.process_time() - started)
    return least * 1000


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    large = picture(4000, 3000)
    files = {
        "CIFAR, 32 x 32 PNG": encoded(picture(32, 32), "PNG"),
        "12 megapixels, JPEG": encoded(large, "JPEG", quality=80),
        "12 megapixels, JPEG, fine": encoded(large, "JPEG", quality=92),
        "12 megapixels, progressive JPEG": encoded(large, "JPEG", quality=80, progressive=True),
        "12 megapixels, WebP": encoded(large, "WEBP", quality=80, method=0),
        "3 megapixels, PNG": encoded(picture(2000, 1500), "PNG", compress_level=6),
    }
    print(f"CPU milliseconds, least of {runs} runs")
    for name, data in files.items():
        print(f"{name:<34}{len(data) / 1e6:>7.2f} MB{milliseconds(data, runs):>9.1f}")


if __name__ == "__main__":
    main()
