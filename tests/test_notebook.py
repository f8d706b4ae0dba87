"""The quickstart notebook: it runs, shorter than for readers, and was committed as it ran."""

import base64
import io
import re
from copy import deepcopy

import nbformat
import numpy as np
import pytest
from matplotlib.image import imread
from nbclient import NotebookClient

from tests.commands import ROOT

pytestmark = pytest.mark.slow
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"
ORGAN_DICE = re.compile(r"^organ +Dice (\d\.\d+)", re.MULTILINE)


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def executed(committed, folder):
    """The notebook run on fewer cases for fewer epochs, in another folder; a cell that fails raises."""
    notebook = deepcopy(committed)
    for cell in code_cells(notebook):
        cell.outputs = []
    (place,) = [index for index, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    shorter = f"folder = Path({str(folder)!r})\ncases = 8\nepochs = 2"
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(shorter))
    NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": NOTEBOOK.parent}}).execute()
    return notebook


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def kinds_of_output(cell):
    return {kind for output in cell.outputs for kind in output.get("data", [output.output_type])}


def printed(notebook):
    return "".join(output.text for output in outputs(notebook) if output.output_type == "stream")


def pictures(notebook):
    return [output.data["image/png"] for output in outputs(notebook) if "image/png" in output.get("data", {})]


def organ_dice(notebook):
    (score,) = ORGAN_DICE.findall(printed(notebook))
    return float(score)


def has_colour(picture):
    pixels = imread(io.BytesIO(base64.b64decode(picture)))[..., :3]
    return np.ptp(pixels, axis=-1).max() > 0.5


def test_a_short_run_of_every_cell_finds_the_organ(executed):
    assert organ_dice(executed) > 0.6


def test_the_last_cell_shows_the_overlay_of_the_worst_case(executed, folder):
    (worst,) = re.findall(r"the worst case is (\w+)", printed(executed))
    last = code_cells(executed)[-1].outputs[-1].data["image/png"]
    assert base64.b64decode(last) == (folder / "overlays" / f"{worst}.png").read_bytes()
    assert has_colour(last)


def test_the_committed_notebook_was_run_from_top_to_bottom(committed):
    numbers = [cell.execution_count for cell in code_cells(committed)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_cell_was_committed_with_the_kind_of_outputs_that_it_has(committed, executed):
    ran = {cell.id: kinds_of_output(cell) for cell in code_cells(executed)}
    shown = {cell.id: kinds_of_output(cell) for cell in code_cells(committed)}
    assert shown == {name: ran[name] for name in shown}
    assert len(pictures(committed)) == 3  # a scan, the curve, the overlay


def test_the_committed_outputs_are_those_of_a_good_run_and_nothing_else(committed):
    assert organ_dice(committed) > 0.9
    assert all(output.output_type != "error" and output.get("name") != "stderr" for output in outputs(committed))
    assert "\x1b" not in printed(committed)
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users)/", printed(committed))


def test_the_committed_notebook_is_small():
    assert NOTEBOOK.stat().st_size < 1_000_000
