"""What a fleet of runners holds: `python -m simulation`. See docs/scaling.md."""
