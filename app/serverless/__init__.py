"""What hosts the runner needs where others run it: RunPod's worker loop, Modal's containers."""
