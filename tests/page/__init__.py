"""The web page: its files, its activity door, and the page itself in a real browser."""
