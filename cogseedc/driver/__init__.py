"""Puts the parts together: text to program, program to module or artifact. Import its modules, which load what they need."""
