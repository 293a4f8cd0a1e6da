"""Data sets, images and captions: read, checked, made ready for the towers."""
