"""Horovod's launcher: python -m nnunet_tf.launch.horovod.launcher OPTIONS -- COMMAND...

Horovod's own would take an option of the command, such as --network, for one of its own cut short.
"""

import sys

from horovod.runner import launch

SEPARATOR = "--"


def main() -> None:
    """Runs the command in all workers as Horovod does."""
    end = sys.argv.index(SEPARATOR)
    command = sys.argv[end + 1 :]
    del sys.argv[end:]
    options = launch.parse_args()
    options.command = command
    launch._run(options)


if __name__ == "__main__":
    main()
