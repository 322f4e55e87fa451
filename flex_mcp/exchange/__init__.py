"""Libraries in and out: FLEX files, bundles, Markdown."""
