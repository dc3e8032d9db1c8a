"""How long compiling takes and how it grows: `python -m tests.bench`, which `make bench` calls."""
