"""Everything that knows diffusers."""
