"""What lies in a gallery's folder, and who writes it: rows go in, rows and columns in memory come out. It alone touches
the table, the manifest and the lock; every write is whole or not there."""
