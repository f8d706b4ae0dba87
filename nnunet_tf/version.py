"""The version of the program, which models and packages keep."""

VERSION = "0.2.0"
