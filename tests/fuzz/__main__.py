"""The long run: python -m tests.fuzz --count 500 --seed 0 [--only NAME]. Prints a table; exits with 1 on failures."""

import argparse
import resource
import sys
import tempfile
from pathlib import Path

from tests.fuzz.harness import Report, fuzz
from tests.fuzz.targets import make_targets


def main() -> None:
    """Fuzzes every target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="damaged inputs of each kind (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first one; the next has the next (%(default)s)")
    parser.add_argument("--only", default="", help="kinds whose names contain this")
    options = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        home, work = Path(folder, "valid"), Path(folder, "damaged")
        home.mkdir()
        work.mkdir()
        for target in make_targets(home):
            if options.only in target.name:
                fuzz(target, options.count, options.seed, work, report)
                print(f"{target.name:20} {report.read[target.name]:6} read {report.refused[target.name]:6} refused")
    print("\n".join(report.failures))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"{sum((report.read + report.refused).values())} inputs, {len(report.failures)} failures, {peak:.0f} MiB")
    sys.exit(bool(report.failures))


if __name__ == "__main__":
    main()
