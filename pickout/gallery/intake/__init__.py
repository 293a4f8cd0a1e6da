"""From a folder of crops to rows."""
