"""How the small models in ``demo/`` are made: data, training and the checker."""
