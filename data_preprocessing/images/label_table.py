"""Class names inside a NIfTI file: the extension that TotalSegmentator writes and its tools and viewers read."""

import re
from collections.abc import Mapping
from xml.etree import ElementTree

import nibabel as nib
from nibabel.nifti1 import Nifti1Extension, Nifti1Extensions

from data_preprocessing.common.colors import distinct_colors, rgb

CODE = 0  # of the extension, as TotalSegmentator writes it; Caret's own is 30
CODES = (CODE, 30)
BLOCK = 16  # bytes: an extension's size is a multiple of it, its size and code (8 bytes) included
ROOT = "CaretExtension"
NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Header = nib.Nifti1Header | nib.Nifti2Header


def set_label_names(header: Header, names: Mapping[int, str]) -> None:
    """Puts the name and color of each label number into `header`, instead of those that it has.

    The label table is the first extension, where readers look for it. Other extensions stay.
    """
    others = [each for each in header.extensions if not _is_label_table(each)]
    header.extensions = Nifti1Extensions([Nifti1Extension(CODE, _label_table(names)), *others])


def label_names(header: Header) -> dict[int, str]:
    """Returns the name of each label number in `header`; {} where it has none that can be read."""
    for extension in header.extensions:
        if _is_label_table(extension):
            try:
                root = ElementTree.fromstring(_text(extension).strip(b"\0 \n"))
                return {int(each.attrib["Key"]): each.text or "" for each in root.iter("Label")}
            except (ElementTree.ParseError, KeyError, ValueError):
                continue
    return {}


def _label_table(names: Mapping[int, str]) -> bytes:
    """The XML of the extension, filled up with blanks. Source: Caret's volume extension."""
    foreground = [number for number in names if number]
    colors = dict(zip(foreground, distinct_colors(len(foreground)), strict=True))
    labels = []
    for number, name in names.items():
        red, green, blue = (f"{part / 255:.6g}" for part in rgb(colors.get(number, "#000000")))
        text = NOT_IN_XML.sub("", name).replace("]]>", "]]]]><![CDATA[>")
        labels.append(
            f'<Label Key="{number}" Red="{red}" Green="{green}" Blue="{blue}" Alpha="{int(number != 0)}">'
            f"<![CDATA[{text}]]></Label>"
        )
    xml = "\n".join(
        [
            f'<?xml version="1.0" encoding="UTF-8"?>\n<{ROOT}>\n<VolumeInformation Index="0">\n<LabelTable>',
            *labels,
            "</LabelTable>\n<StudyMetaDataLinkSet></StudyMetaDataLinkSet>\n<VolumeType><![CDATA[Label]]></VolumeType>",
            f"</VolumeInformation>\n</{ROOT}>\n",
        ]
    ).encode()
    return xml + b" " * (-(len(xml) + 8) % BLOCK)


def _is_label_table(extension: Nifti1Extension) -> bool:
    return extension.get_code() in CODES and f"<{ROOT}".encode() in _text(extension)


def _text(extension: Nifti1Extension) -> bytes:
    content = extension.get_content()
    return content if isinstance(content, bytes) else str(content).encode()
