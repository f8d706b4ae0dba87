"""What is refused of a package; its round trip is tested in tests/nnunet_tf/inference/models/test_packaging.py."""

import hashlib
import json
import re
import stat
import struct
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.inference.models import package_file
from nnunet_tf.inference.models.package_file import MANIFEST_NAME, library_versions, unpack_package, write_package
from tests.commands import ROOT

ALLOWED = re.compile("(fold_[0-9]+/)?(a|b)[.]json")
CONTENT = {"fold_0/a.json": b'{"a": 1}' * 50, "b.json": b"{}"}


@pytest.fixture
def packed(tmp_path):
    sources = {}
    for name, content in CONTENT.items():
        sources[name] = tmp_path / name.replace("/", "_")
        sources[name].write_bytes(content)
    write_package(tmp_path / "model.zip", sources)
    return tmp_path / "model.zip"


def rewrite(path, files=None, manifest=None, compression=zipfile.ZIP_STORED, described=True):
    """Writes a package anew by hand, `files` with a manifest that describes them, `manifest` changing it."""
    files = CONTENT if files is None else files
    records = {n: {"size": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in files.items()}
    content = {"format": 1, "versions": library_versions(), "files": records} | (manifest or {})
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        if described:
            archive.writestr(MANIFEST_NAME, json.dumps(content))
    return path


def refused(path, words):
    with pytest.raises(UserError, match=words) as caught:
        unpack_package(path, ALLOWED)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_what_was_packed_is_unpacked(packed):
    folder = unpack_package(packed, ALLOWED)
    unpacked = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert unpacked == CONTENT


def test_a_package_written_by_hand_is_accepted(packed):
    """So that the refusals below are for what they change."""
    assert (unpack_package(rewrite(packed), ALLOWED) / "b.json").read_bytes() == b"{}"


@pytest.mark.slow
def test_the_temporary_folder_is_gone_when_the_process_ends(packed):
    code = (
        "import pathlib, re, sys; from nnunet_tf.inference.models.package_file import unpack_package; "
        "folder = unpack_package(pathlib.Path(sys.argv[1]), re.compile('.*')); print(folder, folder.is_dir())"
    )
    command = [sys.executable, "-c", code, str(packed)]
    folder, there = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert there == "True"
    assert not Path(folder).exists()


def test_the_same_files_give_the_same_bytes(packed, tmp_path):
    before = packed.read_bytes()
    write_package(packed, {"b.json": tmp_path / "b.json", "fold_0/a.json": tmp_path / "fold_0_a.json"})
    assert packed.read_bytes() == before


def test_another_file_at_the_target_is_replaced_only_by_a_whole_package(packed, tmp_path):
    before = packed.read_bytes()
    with pytest.raises(UserError, match=r"model.zip: cannot be written"):
        write_package(packed, {"a.json": tmp_path / "missing"})
    assert packed.read_bytes() == before
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize(
    "name",
    ["../a.json", "/tmp/a.json", "fold_0/../../a.json", "..\\a.json", "C:\\a.json", "code.py", "fold_0/", "c/b.json"],
)
def test_a_file_that_belongs_to_no_model_is_refused_before_anything_is_unpacked(packed, name, monkeypatch):
    monkeypatch.setattr(package_file.tempfile, "mkdtemp", lambda prefix: pytest.fail("unpacked"))
    refused(rewrite(packed, CONTENT | {name: b""}), "is no file of a model, nothing was unpacked")


def test_two_files_of_one_name_are_refused(packed):
    rewrite(packed)
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("b.json", "[]")
    refused(packed, "two of its files have one name")


def test_a_compressed_file_is_refused_however_large_it_claims_to_be(packed):
    refused(rewrite(packed, CONTENT | {"b.json": bytes(10**7)}, compression=zipfile.ZIP_DEFLATED), "compressed")


def test_a_file_that_claims_another_size_is_refused(packed):
    """As a bomb of overlapping files does, or one whose directory lies."""
    content = bytearray(packed.read_bytes())
    start = content.rindex(b"PK\x01\x02", 0, content.rindex(b"b.json"))  # its entry in the directory
    stored = struct.unpack_from("<II", content, start + 20)
    assert stored == (2, 2)
    struct.pack_into("<II", content, start + 20, 10**9, 10**9)
    packed.write_bytes(content)
    refused(packed, "claim to be larger than the whole")
    struct.pack_into("<II", content, start + 20, 1, 1)
    packed.write_bytes(content)
    refused(packed, "b.json is missing, added or of another size")


def test_another_content_of_the_same_size_is_refused(packed):
    record = {"size": 2, "sha256": hashlib.sha256(b"{}").hexdigest()}
    rewrite(packed, {"b.json": b"[]"}, {"files": {"b.json": record}})
    refused(packed, "b.json is damaged, its checksum is not that of package.json")


@pytest.mark.parametrize("files", [{"b.json": b"{}"}, CONTENT | {"a.json": b""}])
def test_a_file_missing_or_added_is_refused(packed, files):
    records = {n: {"size": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in CONTENT.items()}
    refused(rewrite(packed, files, {"files": records}), "a.json is missing, added or of another size")


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ({"format": 2, "unheard of": 1}, "is a package of format 2, known here is 1; update nnunet_tf"),
        ({"format": 0}, "package.json: format"),
        ({"format": "x"}, "package.json: format"),
        ({"files": {"b.json": {"size": -1, "sha256": "0" * 64}}}, "package.json: files.b.json.size"),
        ({"files": {"b.json": {"size": 2, "sha256": "0"}}}, "package.json: files.b.json.sha256"),
        ({"run": "rm"}, "package.json: run"),
        ({"versions": {"keras": "9" * 2**20}}, "over 1048576 bytes"),
    ],
)
def test_a_manifest_that_is_not_understood_is_refused(packed, manifest, words):
    refused(rewrite(packed, manifest=manifest), words)


def test_a_zip_without_manifest_is_no_package(packed):
    refused(rewrite(packed, described=False), "has no package.json, so it is no model package")


def test_a_link_is_unpacked_as_a_plain_file(packed):
    """What a link points to is its content: nothing outside can be reached by it."""
    rewrite(packed, {"b.json": b"/etc/hostname"})
    content = packed.read_bytes()
    with zipfile.ZipFile(packed) as archive, zipfile.ZipFile(packed.with_name("link.zip"), "w") as linked:
        for info in archive.infolist():
            data = archive.read(info)
            if info.filename == "b.json":
                info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            linked.writestr(info, data)
    assert packed.with_name("link.zip").read_bytes() != content
    unpacked = unpack_package(packed.with_name("link.zip"), ALLOWED) / "b.json"
    assert not unpacked.is_symlink()
    assert unpacked.read_bytes() == b"/etc/hostname"


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_zip_of_a_model_is_refused(packed, content):
    packed.write_bytes(content)
    refused(packed, "is no intact model package|has no package.json")


def test_no_damage_gets_through(packed):
    """A cut or a changed byte is refused, or lies where nothing reads it."""
    whole, random = packed.read_bytes(), np.random.default_rng(0)
    outcomes = []
    for trial in range(300):
        damaged = bytearray(whole)
        place = int(random.integers(len(whole)))
        if trial % 3 == 0:
            del damaged[place:]
        else:
            damaged[place] ^= int(random.integers(1, 256))
        packed.write_bytes(damaged)
        try:
            with warnings.catch_warnings(action="ignore"):  # of a changed version number
                folder = unpack_package(packed, ALLOWED)
        except UserError as error:
            assert str(packed) in str(error)
            outcomes.append(False)
        else:
            assert {name: (folder / name).read_bytes() for name in CONTENT} == CONTENT
            outcomes.append(True)
    assert outcomes.count(False) > 200


def test_another_major_version_is_told_and_a_minor_one_is_not(packed):
    here = library_versions()
    assert set(here) == {"tensorflow", "keras", "numpy", "nnunet_tf"}
    assert "unknown" not in here.values()
    major, rest = here["keras"].split(".", 1)
    unpack_package(rewrite(packed, manifest={"versions": here | {"keras": f"{major}.999.0"}}), ALLOWED)
    rewrite(packed, manifest={"versions": here | {"keras": f"{int(major) + 1}.{rest}"}})
    with pytest.warns(UserWarning, match=f"packed with keras {int(major) + 1}.{rest}, here is {here['keras']}"):
        unpack_package(packed, ALLOWED)


def test_a_library_that_is_not_installed_is_not_compared(packed, monkeypatch):
    monkeypatch.setitem(package_file.DISTRIBUTIONS, "tensorflow", ("no-such-distribution",))
    with warnings.catch_warnings(action="error"):
        unpack_package(rewrite(packed, manifest={"versions": library_versions() | {"tensorflow": "2.21.0"}}), ALLOWED)
