"""The views, one a page: each asks the library, and fills a template."""
