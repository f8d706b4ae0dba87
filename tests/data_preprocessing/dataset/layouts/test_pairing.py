import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_preprocessing.dataset.layouts.pairing import pair_names

TEMPLATES = [
    ("scan_{}", "seg_{}"),
    ("{}", "{}"),
    ("{}_ct", "{}_seg"),
    ("patient-{}-CT-1mm", "patient-{}-label"),
    ("volume-{}", "segmentation-{}"),
    ("BraTS_{}_t1", "BraTS_{}_seg"),
    ("T1w_{}", "label_{}"),
    ("{}", "{}_gt"),
    ("IMG{}", "MASK{}"),
]
NAMES = st.lists(
    st.one_of(st.integers(1, 300).map(str), st.from_regex(r"[a-d]{2,4}[0-9]{1,2}_[0-9]", fullmatch=True)),
    min_size=1,
    max_size=12,
    unique=True,
)


@given(st.sampled_from(TEMPLATES), NAMES, st.integers(0, 3), st.randoms(use_true_random=False))
def test_a_pair_is_never_wrong(template, names, without_label, order: random.Random):
    """Names that follow a template are paired rightly, or refused; with images left over too."""
    images = {template[0].format(name): name for name in names}
    labelled = names[: max(1, len(names) - without_label)]
    labels = {template[1].format(name): name for name in labelled}
    shuffled = list(labels)
    order.shuffle(shuffled)
    pairing = pair_names(list(images), shuffled)
    assert bool(pairing.pairs) != bool(pairing.ambiguous)
    for label, image in pairing.pairs.items():
        assert images[image] == labels[label]
    if not without_label and all(name.isdecimal() for name in names):
        assert len(pairing.pairs) == len(labels)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["scan_1", "scan_2"], ["seg_2", "seg_3"]),  # neither of the leftovers belongs to the other
        (["scan_1"], ["seg_2"]),
        (["p1_day1", "p1_day2"], ["p1"]),
        (["p1_day1", "p1_day2"], ["p1", "p2"]),
        (["2020_1", "2020_2"], ["2021_1", "2021_2"]),
        (["a", "b"], ["c", "d"]),
        (["ct_1", "ct_01"], ["seg_1", "seg_001"]),
    ],
)
def test_what_is_ambiguous_is_refused(images, labels):
    pairing = pair_names(images, labels)
    assert not pairing.pairs
    assert {label for label, _ in pairing.ambiguous} <= set(labels)
    assert pairing.ambiguous


@pytest.mark.parametrize(
    ("images", "labels", "pairs"),
    [
        (["scan_012", "scan_013"], ["seg_12", "seg_13"], {"seg_12": "scan_012", "seg_13": "scan_013"}),
        (["ct"], ["mask"], {"mask": "ct"}),
        (["case_1", "case_1_2"], ["case_1_seg", "case_1_2_seg"], {"case_1_seg": "case_1", "case_1_2_seg": "case_1_2"}),
        (["alice_ct", "bob_ct"], ["alice_seg"], {"alice_seg": "alice_ct"}),
        (["p1_v1_2mm", "p2_v1_2mm"], ["p1", "p2"], {"p1": "p1_v1_2mm", "p2": "p2_v1_2mm"}),
    ],
)
def test_names_are_paired_by_what_they_share(images, labels, pairs):
    assert pair_names(images, labels).pairs == pairs
