"""`python -m data_preprocessing.surface`: writes a data set of made-up surfaces with defects."""

from data_preprocessing.common.script import run_script
from data_preprocessing.synthetic.defects import PROGRAM, main

if __name__ == "__main__":
    run_script(main, PROGRAM)
