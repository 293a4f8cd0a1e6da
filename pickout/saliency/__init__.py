"""Pure functions from attention to weights, used by methods, explanations and tests alike; no input is written to."""
