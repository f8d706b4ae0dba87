"""The reading that preprocessing does of a training case, tried out."""

from pathlib import Path

from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.dataset import Case, Dataset
from data_preprocessing.dataset.training_case import read_training_case, source_files
from data_preprocessing.dataset.verify_case import CaseReport, Expected, check_case
from data_preprocessing.images.checks.finding import Finding, Row, Unusable, error


def read_and_check_case(case: Case, expected: Expected, dataset: Dataset) -> CaseReport:
    """Returns what `check_case` finds and, where that is no error, what preprocessing would refuse all the same."""
    report = check_case(case, expected)
    if any(finding.level == "error" for finding in report.findings):
        return report
    try:
        source_files(case, dataset.folder)
        read_training_case(case, dataset, expected.trust_grid)
    except UserError as refusal:
        return CaseReport([*report.findings, finding_of(refusal, case.name)], report.numbers)
    return report


def finding_of(refusal: UserError, case: str = "") -> Finding:
    """Returns an error as a finding, of `case` if it is about one."""
    if isinstance(refusal, Unusable):
        return refusal.finding.at(Path(refusal.finding.file), case)
    file, _, text = str(refusal).partition(": ")  # in one line: file, problem; remedy
    problem, _, remedy = text.rpartition("; ")
    return error(Row.LISTING, problem, remedy).at(Path(file), case)
