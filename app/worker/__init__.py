"""The process that owns the accelerator."""
