"""What makes a model faster or smaller, each part off unless asked for.

`catalogue` says what there is and what excludes what, without torch; `apply` puts the chosen
ones on a loaded pipeline; the other modules hold one accelerator, or a kind of them, each.
"""
