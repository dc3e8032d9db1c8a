"""Drawings of a program graph, all made from one JSON document; decides nothing about the program."""

from cogseedc.viz.document import GraphJson, document
from cogseedc.viz.page import html
from cogseedc.viz.picture import svg
from cogseedc.viz.text import dot, mermaid

__all__ = ["GraphJson", "document", "dot", "html", "mermaid", "svg"]
