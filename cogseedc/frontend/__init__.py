"""From source text to a typed graph: tokens, syntax tree, elaboration; and back, as formatted text."""
