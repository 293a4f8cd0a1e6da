"""Galleries for others: the same questions over HTTP and for agents, to whom it may, with a record of each.

Read first: `access` (tokens, and the one function that says what they may do), `hosting` (one gallery that is searched
while it changes), `service` (searches; no HTTP in it), then the routes and `app`. `mcp` is the same for agents."""
