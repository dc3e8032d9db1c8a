"""Data sets from files, folders, scikit-learn or a function of the user, fitted to what a program takes and gives."""

from cogseedc.data.fit import fitted
from cogseedc.data.model import Columns, DataSet
from cogseedc.data.parts import part_of
from cogseedc.data.sources import load_data, read_columns

__all__ = ["Columns", "DataSet", "fitted", "load_data", "part_of", "read_columns"]
