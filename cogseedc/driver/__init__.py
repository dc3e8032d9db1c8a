"""Puts the parts together: text to program, program to module or artifact. Its modules load what they need."""
