"""The page for people: a library seen, searched and curated in a browser."""
