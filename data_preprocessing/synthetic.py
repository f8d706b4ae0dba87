"""Writing made-up data sets in the folders of the Medical Decathlon."""

from collections.abc import Callable, Mapping
from pathlib import Path

from data_preprocessing.files import write_json

TEST_SHARE = 0.25


def write_cases(
    folder: Path, names: list[str], write_case: Callable[[int, Path, Path], None], description: Mapping[str, object]
) -> None:
    """Writes a data set: dataset.json, imagesTr, labelsTr, imagesTs and labelsTs.

    `write_case(index, image, label)` writes the two files of one case, which have the same of the `names`. The last
    quarter of the cases (at least one) are the test cases; their labels are written too, for scoring. `description` is
    what else dataset.json says.
    """
    first_test = len(names) - max(1, round(len(names) * TEST_SHARE))
    for index, name in enumerate(names):
        split = "Tr" if index < first_test else "Ts"
        write_case(index, folder / f"images{split}" / name, folder / f"labels{split}" / name)
    training = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names[:first_test]]
    test = [f"./imagesTs/{name}" for name in names[first_test:]]
    counts = {"numTraining": len(training), "numTest": len(test)}
    write_json(folder / "dataset.json", {**description, **counts, "training": training, "test": test})
