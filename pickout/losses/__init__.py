"""Losses: functions of tensors that know no model; float32 inside, also under autocast."""
