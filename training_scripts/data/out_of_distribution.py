"""Pictures without a class of interest: which ones of a source judge a model, and their kinds."""

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

from training_scripts.data import dataset, readers
from training_scripts.data.readers import LabelledPicture
from training_scripts.data.staging import MANIFEST

# Names of classes in CIFAR and, by their synsets, in ImageNet.
VEHICLES = frozenset(
    {
        "aeroplane",
        "aircraft_carrier",
        "airliner",
        "airplane",
        "ambulance",
        "automobile",
        "bobsled",
        "bus",
        "cab",
        "car",
        "fire_engine",
        "garbage_truck",
        "go-kart",
        "golfcart",
        "lawn_mower",
        "limousine",
        "liner",
        "minivan",
        "moving_van",
        "pickup_truck",
        "rocket",
        "ship",
        "sports_car",
        "streetcar",
        "tank",
        "tractor",
        "trailer_truck",
        "train",
        "tricycle",
        "truck",
        "unicycle",
        "yawl",
    }
)
THIN_WIRES = frozenset(
    {
        "badminton_racket",
        "bannister",
        "chainlink_fence",
        "grille",
        "picket_fence",
        "plate_rack",
        "racket",
        "safety_pin",
        "shopping_cart",
        "solar_dish",
        "spider_web",
        "tennis_racket",
        "umbrella",
        "window_screen",
    }
)
_SPLITS = ("train", "test")  # training goes by the classes of the first
_SYNSET = re.compile(r"n\d{8}_(.+)")


def ood_pictures(
    source: Path, split: str, interest: Sequence[str], side: int = readers.SIDE
) -> tuple[list[LabelledPicture], list[str]]:
    """Foreign pictures that no training has seen, and each one's kind: vehicles, thin wires or other things.

    Of a staged set they are its class `neither` in that split; of an archive, both splits' pictures of the
    classes that training keeps for evaluation; of any other folder, all pictures of other classes.

    Raises:
        DataSourceError: the source cannot be read.
    """
    if source.is_dir():
        pictures = [p for p in readers.read_pictures(source, split, side) if p.label not in interest]
    else:
        by_split = {
            s: list(readers.read_pictures(source, s, side)) for s in _SPLITS if readers.has_split(source, s)
        }
        kept = set(dataset.foreign_classes(next(iter(by_split.values())), interest)[1])
        pictures = [p for group in by_split.values() for p in group if p.label in kept]
    origins = _origins(source)
    return pictures, [kind(origins.get(p.filename, p.label)) for p in pictures]


def kind(name: str) -> str:
    """The kind of a class, by its name in CIFAR or ImageNet."""
    plain = name.lower()
    return "vehicles" if plain in VEHICLES else "thin wires" if plain in THIN_WIRES else "other things"


def _origins(source: Path) -> dict[str, str]:
    """Class names that the labels do not give, by file name: from a staged set's manifest or a SOURCES.csv."""
    if (source / MANIFEST).is_file():
        rows = json.loads((source / MANIFEST).read_text(encoding="utf-8"))["pictures"]
        # the source is "archive:class/file"
        return {Path(row["path"]).name: row["source"].rsplit(":", 1)[-1].split("/")[0] for row in rows}
    if (source / "SOURCES.csv").is_file():
        with (source / "SOURCES.csv").open(newline="", encoding="utf-8") as file:
            return {Path(row["file"]).name: _class_of(row["original_path"]) for row in csv.DictReader(file)}
    return {}


def _class_of(path: str) -> str:
    """The class that a path of a data set names: its synset, or its folder."""
    synset = _SYNSET.fullmatch(Path(path).stem)
    return synset.group(1) if synset else Path(path).parent.name
