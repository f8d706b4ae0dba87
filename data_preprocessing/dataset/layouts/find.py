"""Choose the layout by what the user names, or by what lies in the folder."""

from dataclasses import dataclass
from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.dataset import read_json
from data_preprocessing.dataset.entries import paired_options
from data_preprocessing.dataset.layouts.dicom_tree import find_dicom
from data_preprocessing.dataset.layouts.model import Layout, Pattern
from data_preprocessing.dataset.layouts.monai import find_in_datalist, is_datalist
from data_preprocessing.dataset.layouts.nnunet import find_nnunet
from data_preprocessing.dataset.layouts.paired import find_paired
from data_preprocessing.dataset.layouts.patterns import find_by_patterns
from data_preprocessing.dataset.layouts.table import find_in_table
from data_preprocessing.images.formats.dicom import series_folders

WAYS = (
    "say where the files are: --images DIR --labels DIR for two folders, --image ct.nii.gz --label seg.nii.gz for a "
    "folder per case, --channel T1=*_t1.nii.gz for several channels, --masks DIR for a mask per structure, or "
    "--table cases.csv"
)


@dataclass(frozen=True)
class Request:
    """What the user names: `source` is a folder or a MONAI datalist, `channels` are patterns by name."""

    source: Path | None = None
    images: Path | None = None
    labels: Path | None = None
    image: str | None = None
    label: str | None = None
    masks: str | None = None
    channels: tuple[Pattern, ...] = ()
    table: Path | None = None

    @property
    def place(self) -> Path:
        """The folder or file that the data set is called after."""
        return self.source or self.images or self.table or Path()


def find_cases(request: Request) -> Layout:
    """Returns the cases of a request; raises UserError where its parts do not go together, or as the layouts do."""
    _check(request)
    if request.table:
        return find_in_table(request.table)
    if request.source is None:
        if request.images is None or request.labels is None:
            raise UserError(f"nothing to make a data set of; {WAYS}")
        return find_paired(request.images, request.labels, request.channels)
    if request.source.is_file():
        return find_in_datalist(request.source, request.images)
    if not request.source.is_dir():
        raise UserError(f"{request.source}: no such file or folder; correct the path")
    patterns = request.channels or ((("", request.image),) if request.image else ())
    if patterns:
        return find_by_patterns(request.source, patterns, request.label, request.masks)
    return _by_content(request.source)


def _check(request: Request) -> None:
    """Options that do not go together."""
    if request.table and (request.source or request.images or request.labels or request.image or request.channels):
        raise UserError(f"--table {request.table}: lists all files itself; leave out the options that name others")
    if request.image and request.channels:
        raise UserError("--image and --channel: both say which files are images; give one of them")
    if request.label and request.masks:
        raise UserError("--label and --masks: both say which files are labels; give one of them")
    if (request.image or request.label or request.masks) and not request.source:
        raise UserError("--image, --label and --masks: patterns below a folder; name that folder first")
    if (request.label or request.masks) and not (request.image or request.channels):
        raise UserError("--label and --masks: need --image or --channel, the pattern of the images; add it")
    if request.source and request.source.is_dir() and (request.images or request.labels):
        raise UserError(f"{request.source}: --images and --labels name the folders already; leave it out")


def _by_content(folder: Path) -> Layout:
    description = folder / "dataset.json"
    if description.is_file():
        content = read_json(description)
        if is_datalist(content):
            problem = "is a data set already"
            raise UserError(f"{folder}: {problem}; go on with it, or give {description} itself to make another of it")
        return find_nnunet(folder)
    if series_folders(folder):
        return find_dicom(folder)
    datalists = [path for path in sorted(folder.glob("*.json")) if is_datalist(read_json(path))]
    if len(datalists) == 1:
        return find_in_datalist(datalists[0])
    found = paired_options(folder)
    raise UserError(f"{folder}: no layout that is known by itself; {f'try {found}' if found else WAYS}")
