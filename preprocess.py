"""NIfTI volumes of a task to training shards."""

from nnunet_tf.runtime.command_line import CommandParser, available_cores, positive_int, run


def main() -> None:
    """Parses the command line and preprocesses the task."""
    parser = CommandParser(description=__doc__)
    parser.add_task()
    parser.add_folder("data", "data sets, such as data/Task04_Hippocampus")
    parser.add_folder("shards", "shards, written to shards/task04_3d")
    parser.add_argument("--n-jobs", type=positive_int, default=available_cores(), help="worker processes")
    options = parser.parse_args()

    from data_preprocessing.pipeline import preprocess
    from data_preprocessing.task import load_task
    from nnunet_tf.runtime.progress import track

    config = load_task(options.task)
    with track(f"Preprocessing {config.dataset}", total=None, unit="cases") as tracker:
        summary = preprocess(config, options.dim, options.data, options.shards, options.n_jobs, tracker.update)
    voxels = ", ".join(f"{name} {count:,}" for name, count in summary.class_voxels.items())
    print(f"{summary.cases} cases, {summary.bytes / 2**20:.0f} MiB in {summary.folder}; voxels: {voxels}")


if __name__ == "__main__":
    run(main)
