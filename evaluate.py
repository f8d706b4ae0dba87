"""Scores a folder of segmentations against a folder of labels."""

from pathlib import Path

from nnunet_tf.runtime.command_line import CommandParser, available_cores, positive_int, run


def main() -> None:
    """Parses the command line and prints Dice a class."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("--predictions", type=Path, required=True, metavar="DIR", help="segmentations, NIfTI")
    parser.add_argument("--labels", type=Path, required=True, metavar="DIR", help="labels of the same names, NIfTI")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all scores, a case and class, as JSON")
    parser.add_argument("--n-jobs", type=positive_int, default=available_cores(), help="worker processes")
    options = parser.parse_args()

    from data_preprocessing.files import make_folder, write_model
    from nnunet_tf.evaluation.evaluate import evaluate
    from nnunet_tf.evaluation.tables import print_summary

    if options.json:
        make_folder(options.json.parent)
    summary = evaluate(options.predictions, options.labels, options.n_jobs)
    print_summary(f"Dice of {len(summary.cases)} cases", summary)
    if options.json:
        write_model(options.json, summary)


if __name__ == "__main__":
    run(main)
