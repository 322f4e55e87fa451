"""The library's verbs, one transaction each."""
