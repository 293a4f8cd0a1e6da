"""What becomes of rows that are there: told more, held, removed, erased, brought to another model, verified. In come
ids or filters, out how many rows. It may write the table and every small file of the gallery's folder, and none
elsewhere. Each change is a line in the audit, and finished by the next writer."""
