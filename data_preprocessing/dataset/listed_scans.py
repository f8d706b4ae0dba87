"""Scans without a label that a dataset.json lists under `test`, to be predicted."""

from pathlib import Path

from data_preprocessing.dataset.dataset import Case, image_files, read_json
from data_preprocessing.dataset.scan_names import FIRST_CHANNEL, split_suffix
from data_preprocessing.images.checks.finding import Row, refuse, unusable
from data_preprocessing.images.checks.listing import check_names, check_there


def list_test_cases(path: Path) -> list[Case]:
    """Returns the cases under `test` of the dataset.json at `path`, sorted by name; none where it lists none.

    An entry is the path of an image, as in the Decathlon, or an object with `image`, a path or a list of one path per
    channel, and perhaps `name`. Raises UserError where a file is missing, an entry has another form, or two cases have
    one name.
    """
    cases = [
        Case(name or _name_of(images), tuple(file for image in images for file in image_files(path.parent / image)))
        for name, images in listed_images(path)
    ]
    refuse(path, *check_names([case.name for case in cases]))
    for case in cases:
        for file in case.images:
            refuse(file, *check_there(file))
    return sorted(cases, key=lambda case: case.name)


def listed_images(path: Path) -> list[tuple[str | None, list[str]]]:
    """Returns name, where it is stated, and paths of the images of each entry of `test`, as they stand there."""
    listed = read_json(path).get("test")
    return [_entry(path, index, entry) for index, entry in enumerate(listed if isinstance(listed, list) else [], 1)]


def _entry(path: Path, index: int, entry: object) -> tuple[str | None, list[str]]:
    stated = entry if isinstance(entry, dict) else {"image": entry}
    name, images = stated.get("name"), stated.get("image")
    files = images if isinstance(images, list) else [images]
    if not files or not all(isinstance(text, str) and text for text in (*files, name or "-")):
        problem = f"test entry {index} is no path of an image"
        raise unusable(path, Row.LISTING, problem, 'write "imagesTs/case_1.nii.gz", or {"image": [one per channel]}')
    return str(name) if name else None, [str(file) for file in files]


def _name_of(images: list[str]) -> str:
    name = split_suffix(Path(images[0]))[0]
    return name.removesuffix(FIRST_CHANNEL) if len(images) > 1 else name
