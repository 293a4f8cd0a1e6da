"""RaSa's and AGA's training step in the order of the release: the slow twin of `pickout.methods.fusion`."""
