"""Pure functions from attention to weights, used by methods, explanations and tests alike; no input is written to.

In all of them `ids` are captions, `content` is True where a token is a patch or a word piece, `words` numbers each
token's word (`hiding.word_numbers`; None: each piece by itself), `chosen` is True at tokens to be hidden, and `uniform`
are random numbers in [0, 1), given by the caller, who so decides what is repeatable. Rows of maps are queries."""
