"""`python -m nnunet_tf.commands`: what `nnunet-tf` is."""

from nnunet_tf.commands.cli import main

if __name__ == "__main__":
    main()
