"""How good a model is: exact ranks, the field's measures, intervals, a report."""
