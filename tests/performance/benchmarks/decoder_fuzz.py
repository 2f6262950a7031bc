"""Damaged and hostile files against the picture decoder: `python tests/performance/benchmarks/decoder_fuzz.py [INPUTS]`.

Each input is one of the seeds of tests/unit/functions/test_picture_properties.py, changed at
random; `--seed` and an input's number give
the same bytes again. The decoder runs in processes of its own, so that a crash is seen, and named by its number.
Prints what was read and refused, the worst input in CPU time, the memory the decoder grew to, and what decompression
bombs cost. Exit code 1: a crash, or an error without a name.
"""

import argparse
import io
import multiprocessing
import os
import random
import resource
import struct
import sys
import time
import warnings
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "unit" / "functions"))
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from test_picture_properties import SEEDS

from functions.common.errors import ImageRejected
from functions.common.picture import read_picture

EXTREMES = (
    b"\0",
    b"\xff",
    b"\0\0",
    b"\xff\xff",
    b"\x7f\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
)
KIBIBYTE = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss, in bytes


class Found(NamedTuple):
    """What one process saw: counts, its worst input (CPU seconds, number) and the inputs that failed."""

    read: int
    refused: int
    worst: tuple[float, int]
    grown: int
    failures: list[tuple[int, str]]


def mutated(seed: int, number: int) -> bytes:
    """Input `number`: some of a seed's bytes changed, moved, repeated or cut off."""
    chance = random.Random(f"{seed}-{number}")  # noqa: S311
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data) + 1)
        length = chance.choice((1, 2, 4, 16, chance.randrange(1, len(data) + 2)))
        match chance.randrange(6):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                extreme = chance.choice(EXTREMES)
                data[at : at + len(extreme)] = extreme
            case 2:
                data[at:at] = data[at : at + length] * chance.choice((1, 2, 50))
            case 3:
                del data[at : at + length]
            case 4:
                other = chance.choice(SEEDS)
                start = chance.randrange(len(other))
                data[at:at] = other[start : start + length]
            case 5:
                data[at:at] = chance.randbytes(length)
    return bytes(with_right_checksums(data) if chance.random() < 0.5 else data)


def with_right_checksums(data: bytearray) -> bytearray:
    """A PNG file whose chunks' checksums are right again, so that the decoder reaches the damage."""
    position = 8
    while data.startswith(b"\x89PNG") and position + 12 <= len(data):
        end = position + 8 + struct.unpack_from(">I", data, position)[0]
        if end + 4 <= len(data):
            struct.pack_into(">I", data, end, zlib.crc32(data[position + 4 : end]))
        position = end + 4
    return data


def work(seed: int, numbers: range, under_way: Any, answers: Any) -> None:
    """Read the inputs of these numbers; `under_way` always holds the one at hand."""
    warnings.simplefilter("ignore")
    for sound in SEEDS:
        read_picture(sound, 32)  # the first picture of a format also loads its plugin
    read = refused = 0
    worst, failures = (0.0, -1), []
    before = peak()
    for number in numbers:
        under_way.value = number
        data = mutated(seed, number)
        started = time.process_time()
        try:
            read_picture(data, 32)
            read += 1
        except ImageRejected:
            refused += 1
        except Exception as error:
            failures.append((number, repr(error)))
        worst = max(worst, (time.process_time() - started, number))
    answers.put(Found(read, refused, worst, peak() - before, failures))


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE


def fuzz(inputs: int, seed: int) -> bool:
    """Share the inputs between processes and print what they found; whether nothing failed."""
    processes = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    running = []
    for first in range(processes):
        under_way = context.Value("q", -1)
        numbers = range(first, inputs, processes)
        process = context.Process(target=work, args=(seed, numbers, under_way, answers))
        process.start()
        running.append((process, under_way))
    found: list[Found] = []
    crashed = []
    while len(found) + len(crashed) < processes:
        while not answers.empty():
            found.append(answers.get())
        crashed = [(each, at.value) for each, at in running if each.exitcode not in (None, 0)]
        time.sleep(0.1)
    seconds, number = max(each.worst for each in found) if found else (0.0, -1)
    read, refused = (
        (sum(counts) for counts in zip(*(each[:2] for each in found), strict=True)) if found else (0, 0)
    )
    print(f"{inputs:,} inputs from seed {seed}: {read:,} read, {refused:,} refused")
    print(f"worst input: number {number}, {seconds * 1000:.1f} ms of CPU time")
    print(
        f"most memory above an idle process: {max((each.grown for each in found), default=0) / 2**20:.0f} MiB"
    )
    failures = [failure for each in found for failure in each.failures]
    failures += [(at, f"crash, exit code {process.exitcode}") for process, at in crashed]
    for at, what in failures:
        print(f"FAILED: input {at}: {what}")
    return not failures


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def bombs() -> dict[str, bytes]:
    """Files of which a few bytes ask for much work, and the dearest that are still pictures."""
    bare, photo = Image.new("RGB", (10_000, 5_000)), Image.effect_noise((4000, 3000), 40).convert("RGB")
    slope = Image.linear_gradient("L").resize(bare.size)
    progressive = encoded(bare.resize((4000, 3000)), "JPEG", progressive=True)
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    huge = (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0) + bytes(100)
    )
    small = encoded(Image.new("RGB", (8, 8)), "PNG")
    text = b"key\0\0" + zlib.compress(bytes(1_000_000), 9)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))
    at = small.index(b"IDAT") - 4
    return {
        "PNG, 60,000 x 60,000 pixels announced": huge,
        "PNG, 5,000 texts of 1 MB": small[:at] + chunk * 5000 + small[at:],
        "PNG, bare, 50 megapixels": encoded(bare, "PNG"),
        "WebP, bare, 50 megapixels": encoded(bare, "WEBP", lossless=True, method=0),
        "JPEG, 12 megapixels, 100 scans": progressive[:-2] + scan * 90 + b"\xff\xd9",
        "JPEG, 12 megapixels, 100,000 scans": progressive[:-2] + scan * 100_000 + b"\xff\xd9",
        "PNG, bare, 2 megapixels": encoded(bare.resize((1600, 1200)), "PNG"),
        "WebP, bare, 2 megapixels": encoded(bare.resize((1600, 1200)), "WEBP", lossless=True, method=0),
        "JPEG, 12 megapixels of noise, progressive": encoded(photo, "JPEG", quality=60, progressive=True),
        "JPEG, 50 megapixels of noise": encoded(photo.resize((10_000, 5_000)), "JPEG", quality=30),
        "PNG, 50 megapixels, black and white": encoded(slope.convert("1"), "PNG"),
    }


def explode() -> None:
    """Print what each bomb costs: CPU milliseconds, the least of three runs."""
    Image.preinit()
    for name, data in bombs().items():
        least, outcome = float("inf"), "read"
        for _ in range(3):
            started = time.process_time()
            try:
                read_picture(data, 32)
            except ImageRejected:
                outcome = "refused"
            least = min(least, time.process_time() - started)
        print(f"{name:<44}{len(data):>12,} bytes  {outcome:<8}{least * 1000:>8.1f} ms")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", type=int, nargs="?", default=100_000, metavar="INPUTS")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    clean = fuzz(arguments.inputs, arguments.seed)
    explode()
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
