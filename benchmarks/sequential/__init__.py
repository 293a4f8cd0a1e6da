"""Training steps in the order of the released programs (RaSa, AGA, ITSELF): slow twins of `pickout.methods`."""
