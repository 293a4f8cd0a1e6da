"""What becomes of rows that are there: chosen, removed, erased, told more about, encoded by another model, verified.

Each change leaves a line in the audit, holds the gallery's lock, and is finished by the next writer after a kill.
"""
