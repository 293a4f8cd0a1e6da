"""Why a crop was chosen: which words and which patches carry the score, and whether that was shown to be true."""
