"""Pixels in and out: decoding of untrusted uploads, encoding of finished samples. No torch."""
