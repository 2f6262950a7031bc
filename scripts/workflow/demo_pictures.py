"""The pictures of a demonstration, what is expected of each, and whether that happened."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from scripts.common.errors import UserError
from scripts.workflow.client import Outcome
from training_scripts.data import readers
from training_scripts.synthetic import generator

CLASSES = ("bicycle", "motorcycle")
DRAWN_PER_CLASS = 4
DECIDED = frozenset({"ACCEPTED", "LOW_CONFIDENCE", "REJECTED"})
# The least that the real test rows must reach; the model card says what this model does reach.
LEAST_ACCURACY = 0.90


class NoPictures(UserError):
    """The folder or archive holds nothing to show."""


@dataclass(frozen=True)
class Sample:
    """One picture to show: its true label, if known, and the outcomes that are right for it."""

    path: Path
    label: str | None
    expected: frozenset[str]

    def is_as_expected(self, outcome: Outcome) -> bool:
        if outcome.status not in self.expected:
            return False
        # Where only one outcome is right, an accepted picture must carry the right label, too.
        return len(self.expected) > 1 or outcome.status != "ACCEPTED" or outcome.label == self.label


def drawn(folder: Path, seed: int) -> list[Sample]:
    """Drawn bicycles and motorcycles, one that is not quite either, and one cut-short file."""
    samples = []
    for label in CLASSES:
        for number in range(DRAWN_PER_CLASS):
            path = _save(generator.draw(label, seed + number), folder / f"{label}-{number + 1}.jpg")
            samples.append(Sample(path, label, frozenset({"ACCEPTED"})))
    doubtful = _save(generator.draw("ambiguous", seed), folder / "moped-1.jpg")
    samples.append(Sample(doubtful, None, frozenset({"LOW_CONFIDENCE"})))
    return [*samples, _cut_short(samples[0].path)]


def from_folder(folder: Path, classes: Sequence[str] = CLASSES) -> list[Sample]:
    """Every file in a folder, labelled if its folder is named after a class. Raises NoPictures."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    if not files:
        raise NoPictures(f"{folder} holds no files: name a folder of pictures.")
    return [
        Sample(path, path.parent.name if path.parent.name in classes else None, DECIDED) for path in files
    ]


def from_archive(archive: Path, folder: Path) -> list[Sample]:
    """The test rows of the two classes from a CIFAR-100 archive, and one file that was cut short.

    Raises NoPictures, and training_scripts.data.readers.DataSourceError for a file that is not such
    an archive.
    """
    samples = []
    for picture in readers.read_pictures(archive, "test"):
        if picture.label in CLASSES:
            path = folder / f"{picture.label}-{Path(picture.filename).stem}.png"
            samples.append(Sample(_save(Image.fromarray(picture.pixels), path), picture.label, DECIDED))
    if not samples:
        raise NoPictures(f"{archive} holds no test rows of {' or '.join(CLASSES)}.")
    return [*samples, _cut_short(samples[0].path)]


def _save(picture: Image.Image, path: Path) -> Path:
    picture.save(path, quality=90)
    return path


def _cut_short(whole: Path) -> Sample:
    data = whole.read_bytes()
    path = whole.with_name(f"cut-short{whole.suffix}")
    path.write_bytes(data[: len(data) // 2])
    return Sample(path, None, frozenset({"REJECTED"}))


@dataclass(frozen=True)
class Summary:
    """A demonstration in numbers."""

    counts: Counter[str]
    labelled: int
    right: int
    accepted: int
    accepted_right: int
    surprises: Sequence[tuple[Sample, Outcome]]

    @property
    def accuracy(self) -> float | None:
        return self.right / self.labelled if self.labelled else None


def summarise(shown: Iterable[tuple[Sample, Outcome]]) -> Summary:
    """Counts, accuracy over the labelled pictures (whatever their confidence), and surprises."""
    shown = list(shown)
    labelled = [(sample, outcome) for sample, outcome in shown if sample.label]
    accepted = [(sample, outcome) for sample, outcome in labelled if outcome.status == "ACCEPTED"]
    return Summary(
        counts=Counter(outcome.status for _, outcome in shown),
        labelled=len(labelled),
        right=sum(outcome.label == sample.label for sample, outcome in labelled),
        accepted=len(accepted),
        accepted_right=sum(outcome.label == sample.label for sample, outcome in accepted),
        surprises=[(sample, outcome) for sample, outcome in shown if not sample.is_as_expected(outcome)],
    )
