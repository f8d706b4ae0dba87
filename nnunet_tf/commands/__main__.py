"""`python -m nnunet_tf.commands`: what `nnunet-tf` is."""

import sys

from data_preprocessing.common.script import INSTALLED
from nnunet_tf.commands.cli import main

if __name__ == "__main__":
    sys.argv[0] = INSTALLED
    main()
