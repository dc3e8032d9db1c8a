"""Finds what imports name: files beside the importer, packages of the standard library. Runs nothing of them."""

from cogseedc.seeds.library import Library

__all__ = ["Library"]
