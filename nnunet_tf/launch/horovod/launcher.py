"""Horovod's launcher: python -m nnunet_tf.launch.horovod.launcher OPTIONS -- COMMAND...

Horovod's own would take an option of the command, such as --network, for one of its own cut short.
"""

import sys

from horovod.runner import launch
from horovod.runner.common.util import safe_shell_exec

from data_preprocessing.common.stopping import end_with_starter

SEPARATOR = "--"
SECONDS_TO_END = 1.2  # for a worker that is to end, and then for its shell; Horovod waits five seconds for either

safe_shell_exec.GRACEFUL_TERMINATION_TIME_S = SECONDS_TO_END  # here, as the processes beside the workers import this


def main() -> None:
    """Runs the command in all workers as Horovod does."""
    end_with_starter()
    end = sys.argv.index(SEPARATOR)
    command = sys.argv[end + 1 :]
    del sys.argv[end:]
    options = launch.parse_args()
    options.command = command
    launch._run(options)


if __name__ == "__main__":
    main()
