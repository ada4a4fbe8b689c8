"""Jobs, their queue and the supervision of the worker process; never imports torch."""
