"""A street of drawn people: bodies, clothes, places, cameras, and sentences about them, in the format of CUHK-PEDES."""
