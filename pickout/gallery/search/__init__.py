"""From a query to candidates, best first, and how sure they are. Reads the gallery; writes only searches to be kept."""
