"""What lies in a gallery's folder, and who writes it; every write is whole or not there."""
