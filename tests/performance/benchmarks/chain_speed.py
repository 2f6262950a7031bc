"""The whole chain at speed: `python -m tests.performance.benchmarks.chain_speed [--pictures PATH] [COUNT ...]` (make bench).

Applies the stack on this machine and sends COUNT small pictures through it for each COUNT, as one batch and as one
execution each, and a few photos of 12 megapixels. Functions, model, data capture and ledger are the real ones.
Beside them runs the yardstick: the workflow's three functions as notebooks publish them (notebook_workflow/), with
the same machine, endpoint and pictures.

Product CPU is what functions and endpoint use, read from the kernel's accounts of their processes; the one-machine
AWS around them has a column of its own. PATH is a folder of pictures or an archive with a folder test/ of them, such
as CIFAR-10's; by default the pictures are drawn.
"""

import argparse
import io
import json
import os
import re
import tarfile
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count as counting
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from PIL import Image

from scripts.cli.console import steps
from scripts.common import paths
from scripts.operations.local_stack import LocalStack
from scripts.workflow.batch import Batches
from scripts.workflow.bucket_layout import Picture, execution_input
from scripts.workflow.client import Workflow
from training_scripts.synthetic import generator

PHOTO = (4000, 3000)
PHOTOS = 40
QUALITY = 92
SAVING_QUALITY = 75  # of phones that save room, and of most tools
DRAWN = 200
AT_ONCE = 8
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
EMULATOR = "one-machine AWS"
NOTEBOOK = ("serialize_image_data", "classify_image", "filter_inferences")
BATCH = "one batch"


class NoPictures(Exception):
    """Nothing to send; the message says where and what would work."""


@dataclass(frozen=True)
class Use:
    """What a program has used so far: CPU seconds, and resident megabytes at this moment."""

    seconds: float = 0.0
    megabytes: float = 0.0


@dataclass(frozen=True)
class Measured:
    """One line of the table."""

    what: str
    pictures: int
    seconds: float
    cpu: dict[str, float]  # part -> milliseconds for each picture
    megabytes: dict[str, float]
    grown: dict[str, float]  # part -> megabytes for each 1,000 pictures
    ends: Counter[str]

    @property
    def product(self) -> float:
        return sum(spent for part, spent in self.cpu.items() if part != EMULATOR)


def process_use(process: int) -> Use:
    """https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return Use((int(fields[11]) + int(fields[12])) / TICKS, int(fields[21]) * PAGE / 1e6)


def parts(server: int) -> Iterator[tuple[str, int]]:
    """(part, process) of the one-machine AWS and every function and endpoint that it runs."""
    yield EMULATOR, server
    children = defaultdict(list)
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = entry.read_text().rpartition(")")[2].split()[1]
        except OSError:  # it has ended since then
            continue
        children[int(parent)].append(int(entry.parent.name))
    waiting = [*children[server]]
    while waiting:
        process = waiting.pop()
        waiting += children[process]
        try:
            environment = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
            command = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            continue
        named = dict(entry.split(b"=", 1) for entry in environment if b"=" in entry)
        if name := named.get(b"AWS_LAMBDA_FUNCTION_NAME"):
            yield name.decode(), process
        elif b"training_scripts.serve" in command:
            yield "endpoint", process


def use(server: int) -> dict[str, Use]:
    found: dict[str, Use] = defaultdict(Use)
    for part, process in parts(server):
        one = process_use(process)
        found[part] = Use(found[part].seconds + one.seconds, found[part].megabytes + one.megabytes)
    return found


def small_pictures(path: Path | None) -> list[tuple[str, bytes]]:
    """(name, bytes) of a folder's or archive's files in a fixed mixture of its classes, or of drawn pictures.

    Raises NoPictures.
    """
    if path is None:
        labels = cycle(("bicycle", "motorcycle", "other"))
        return [(f"{n}.png", encoded(generator.draw(next(labels), n, 32), "PNG")) for n in range(DRAWN)]
    try:
        found = list(_folder(path) if path.is_dir() else _archive(path))
    except (OSError, tarfile.TarError) as error:
        raise NoPictures(f"{path} can be read neither as a folder nor as an archive: {error}.") from error
    if not found:
        raise NoPictures(
            f"{path} has no pictures to send: name a folder of pictures, or an archive with a folder test/ of them"
            " (cifar-10-jpeg.tar.xz, not CIFAR-100's pickles)."
        )
    step = max(1, len(found) // 10)
    return [found[n] for start in range(step) for n in range(start, len(found), step)]


def _folder(path: Path) -> Iterator[tuple[str, bytes]]:
    return ((file.name, file.read_bytes()) for file in sorted(path.rglob("*")) if file.is_file())


def _archive(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            if "/test/" in f"/{member.name}" and (file := archive.extractfile(member)):
                yield Path(member.name).name, file.read()


def photos(quality: int) -> list[tuple[str, bytes]]:
    """Drawn pictures of 12 megapixels with the grain, and so the megabytes, of a camera's JPEG."""
    grain = Image.effect_noise(PHOTO, 40).convert("RGB")
    drawn = (generator.draw("bicycle", n, 400).resize(PHOTO) for n in range(4))
    return [
        (f"photo-{n}.jpg", encoded(Image.blend(each, grain, 0.2), "JPEG", quality))
        for n, each in enumerate(drawn)
    ]


def encoded(picture: Any, kind: str, quality: int = QUALITY) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=quality)
    return buffer.getvalue()


# Counts how pictures ended, after their time was taken.
Ends = Callable[[], Counter[str]]
Sender = Callable[[list[Picture]], Ends]


class Bench:
    """The applied stack, and what is sent through it."""

    def __init__(self, stack: LocalStack):
        self.stack, self.workflow = stack, Workflow(stack.deployment())
        self.states, self.bucket = self.workflow.states, self.workflow.deployment.bucket
        self.numbers = counting()

    def upload(self, files: Sequence[tuple[str, bytes]], number: int) -> list[Picture]:
        folder = f"submitted/bench-{next(self.numbers)}"

        def put(each: tuple[int, tuple[str, bytes]]) -> Picture:
            key = f"{folder}/{each[0]}-{each[1][0]}"
            answer = self.workflow.s3.put_object(Bucket=self.bucket, Key=key, Body=each[1][1])
            return Picture(self.bucket, key, answer["VersionId"])

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(put, enumerate(islice(cycle(files), number))))

    def measure(self, what: str, pictures: list[Picture], send: Sender) -> Measured:
        server = self.stack.server["pid"]
        before, began = use(server), time.monotonic()
        count_ends = send(pictures)
        seconds, after = time.monotonic() - began, use(server)
        each = {
            part: (now.seconds - before[part].seconds) / len(pictures) * 1000 for part, now in after.items()
        }
        used = {part: spent for part, spent in each.items() if spent}
        grown = {
            part: (after[part].megabytes - before[part].megabytes) / len(pictures) * 1000 for part in used
        }
        megabytes = {part: after[part].megabytes for part in used}
        return Measured(what, len(pictures), seconds, used, megabytes, grown, count_ends())

    def batch(self, pictures: list[Picture]) -> Ends:
        batches = Batches(self.workflow)
        started = batches.start((execution_input(picture, 0) for picture in pictures), lambda _: None)
        assert started
        batches.wait(started, lambda _: None)
        return lambda: self._statuses(pictures)

    def one_by_one(self, pictures: list[Picture], at_once: int = AT_ONCE) -> Ends:
        self._executions(self.workflow.deployment.state_machine_arn, pictures, at_once)
        return lambda: self._statuses(pictures)

    def one_at_a_time(self, pictures: list[Picture]) -> Ends:
        """So that nothing waits for a core, and no part's time includes another's."""
        return self.one_by_one(pictures, at_once=1)

    @contextmanager
    def notebook(self) -> Iterator[Sender]:
        """The yardstick, which is there until the end of the block. It has no ledger: its executions' ends count."""
        with ExitStack() as removals:
            machine = self._notebook_machine(removals)

            def send(pictures: list[Picture]) -> Ends:
                ends = self._executions(machine, pictures, AT_ONCE)
                return lambda: ends

            yield send

    def _statuses(self, pictures: list[Picture]) -> Counter[str]:
        rows = self.workflow.ledger.rows([(each.uri, each.s3_version_id) for each in pictures])
        return Counter(row["status"] for row in rows)

    def _executions(self, machine: str, pictures: list[Picture], at_once: int) -> Counter[str]:
        def run(picture: Picture) -> str:
            event = json.dumps(execution_input(picture, 0))
            started = self.states.start_execution(stateMachineArn=machine, input=event)
            return str(self.workflow.wait(started["executionArn"])["status"])

        with ThreadPoolExecutor(at_once) as pool:
            return Counter(pool.map(run, pictures))

    def _notebook_machine(self, removals: ExitStack) -> str:
        """The machine's ARN; `removals` get what ends it, its functions and their logs."""
        functions, logs = (self.workflow.deployment.client(service) for service in ("lambda", "logs"))
        ours = functions.get_function_configuration(
            FunctionName=f"{self.workflow.deployment.prefix}-classify-image"
        )
        role, tasks = self._notebook_role(removals), dict[str, Any]()
        for name, following in zip(NOTEBOOK, (*NOTEBOOK[1:], None), strict=True):
            unique = f"notebook-{next(self.numbers)}-{name.replace('_', '-')}"
            removals.callback(logs.delete_log_group, logGroupName=f"/aws/lambda/{unique}")
            removals.callback(functions.delete_function, FunctionName=unique)
            created = functions.create_function(
                FunctionName=unique,
                Runtime=ours["Runtime"],
                Architectures=ours["Architectures"],
                Role=role,
                Handler=f"{name}.lambda_handler",
                Timeout=60,
                MemorySize=ours["MemorySize"],
                Environment={"Variables": {"ENDPOINT": ours["Environment"]["Variables"]["ENDPOINT_NAME"]}},
                Code={"ZipFile": zipped(Path(__file__).parent / "notebook_workflow" / f"{name}.py")},
            )
            tasks[name] = {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Arguments": {"FunctionName": created["FunctionArn"], "Payload": "{% $states.input %}"},
                "Output": "{% $states.result.Payload.body %}",
                **({"Next": following} if following else {"End": True}),
            }
        machine = self.states.create_state_machine(
            name=f"notebook-{next(self.numbers)}",
            definition=json.dumps({"QueryLanguage": "JSONata", "StartAt": NOTEBOOK[0], "States": tasks}),
            roleArn=role,
        )
        removals.callback(self.states.delete_state_machine, stateMachineArn=machine["stateMachineArn"])
        return str(machine["stateMachineArn"])

    def _notebook_role(self, removals: ExitStack) -> str:
        """One role for everything, which may do everything."""
        iam, name = self.workflow.deployment.client("iam"), f"notebook-{next(self.numbers)}"
        services = {"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]}
        trust, rights = (
            json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", **statement}})
            for statement in (
                {"Principal": services, "Action": "sts:AssumeRole"},
                {"Action": "*", "Resource": "*"},
            )
        )
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        removals.callback(iam.delete_role, RoleName=name)
        iam.put_role_policy(RoleName=name, PolicyName="everything", PolicyDocument=rights)
        removals.callback(iam.delete_role_policy, RoleName=name, PolicyName="everything")
        return str(role)


def zipped(source: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.write(source, source.name)
    return buffer.getvalue()


def show(lines: list[Measured]) -> None:
    """The tables, in Markdown, so that they can be pasted into docs/reliability.md."""
    print("| what | pictures | s | pictures/s | product CPU, ms each | one-machine AWS, ms each | ended as |")
    print("|---|---|---|---|---|---|---|")
    for line in lines:
        ends = ", ".join(f"{number} {end}" for end, number in line.ends.most_common())
        print(
            f"| {line.what} | {line.pictures:,} | {line.seconds:.1f} | {line.pictures / line.seconds:.1f} "
            f"| {line.product:.1f} | {line.cpu[EMULATOR]:.1f} | {ends} |"
        )
    parts_of = [{column(part): part for part in line.cpu} for line in lines]
    names = list(dict.fromkeys(name for found in parts_of for name in found))
    print("\n| CPU ms each (resident MB) | " + " | ".join(names) + " |\n|---" + "|---" * len(names) + "|")
    for line, found in zip(lines, parts_of, strict=True):
        cells = [
            f"{line.cpu[found[name]]:.1f} ({line.megabytes[found[name]]:.0f})" if name in found else ""
            for name in names
        ]
        print(f"| {line.what}, {line.pictures:,} | " + " | ".join(cells) + " |")
    show_growth([line for line in lines if line.what == BATCH])


def show_growth(batches: list[Measured]) -> None:
    """How time and memory grow with the number of pictures."""
    first = batches[0]
    for line in batches[1:]:
        ratio = (line.seconds / line.pictures) / (first.seconds / first.pictures)
        print(f"\nTime per picture with {line.pictures:,}: {ratio:.2f} times that with {first.pictures:,}.")
    last = batches[-1]
    grown = ", ".join(f"{column(part)} {megabytes:+.1f}" for part, megabytes in last.grown.items())
    print(f"\nMemory, MB for each 1,000 pictures, over {last.pictures:,}: {grown}.")


def column(part: str) -> str:
    """A function's name without the deployment's, or the yardstick's, before it."""
    return re.sub(r"^(scones-[a-z]+|notebook-\d+)-", "", part)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("counts", metavar="COUNT", type=int, nargs="*", default=[300])
    parser.add_argument("--pictures", type=Path, metavar="PATH")
    options = parser.parse_args()
    try:
        files = small_pictures(options.pictures)
    except NoPictures as error:
        parser.error(str(error))
    stack = LocalStack(paths.WORK / "bench")
    with steps() as progress:
        stack.bring_up(progress)
        try:
            bench, lines = Bench(stack), []

            def run(what: str, files: Any, number: int, send: Sender) -> None:
                progress(f"{number:,} pictures, {what}", None)
                lines.append(bench.measure(what, bench.upload(files, number), send))

            few = min(options.counts)
            with bench.notebook() as notebook:
                # Cold starts do not count.
                for send in (notebook, bench.batch, bench.one_by_one):
                    send(bench.upload(files, 50))
                run("notebook's three functions, one execution each", files, few, notebook)
            run("one execution each", files, few, bench.one_by_one)
            run("one execution each, one at a time", files, min(few, 300), bench.one_at_a_time)
            for quality in (QUALITY, SAVING_QUALITY):
                large = photos(quality)
                megabytes = sum(len(data) for _, data in large) / len(large) / 1e6
                run(f"one batch, 12 megapixels, {megabytes:.1f} MB", large, PHOTOS, bench.batch)
            for number in options.counts:
                run(BATCH, files, number, bench.batch)
        finally:
            stack.stop_server()
    show(lines)


if __name__ == "__main__":
    main()
