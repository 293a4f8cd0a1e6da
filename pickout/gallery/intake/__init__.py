"""From a folder of crops to rows. Reads the folder, writes only through the store; no file goes unmentioned."""
