"""Galleries for others: the same questions over HTTP and for agents, to whom it may, with a record of each.

settings     what the owner of a server decides, in `settings.toml`
access       tokens, and the one function that says what they may do
policy       descriptions that are warned of, blocked or recorded
retention    how long crops are kept, and what is held against that
blurring     faces blurred
turns        searches that wait together are made together
jobs         long work, followed while it goes on
hosting      one gallery that is searched while it changes
service      the galleries: searches and saved searches; no HTTP in it
crops        looked at and explained
changes      added, described, removed, erased, taken out and in
duty         retention, the audit, tokens
watches      searches that are asked of each new crop
app          the same over HTTP
mcp          the same for agents
"""
