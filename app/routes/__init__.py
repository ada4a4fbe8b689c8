"""HTTP doors, one file each."""
