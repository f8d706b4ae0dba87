"""`python -m data_preprocessing.phantom`: writes a data set of made-up organs."""

from data_preprocessing.common.script import run_script
from data_preprocessing.synthetic.phantom import PROGRAM, main

if __name__ == "__main__":
    run_script(main, PROGRAM)
