"""What the runner needs on platforms that run it: RunPod's worker loop, Modal's containers."""
