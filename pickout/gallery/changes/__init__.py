"""What becomes of rows that are there. Each change is a line in the audit, and finished by the next writer."""
