"""Text from outside, shown as a quotation: data, whatever it says.

Lessons, trajectories and what names them come from strangers. Whoever puts such text before a model
or a person does it through these two, so that nothing in it can look like our own words.
"""


def one_line(text: str) -> str:
    """A short text in one line: a title, a domain, a name."""
    return " ".join(text.split())


def quoted(heading: str, *texts: str) -> str:
    """`heading`, made of our words and single lines, then the texts with `>` before every line."""
    lines = "\n".join(text for text in texts if text).splitlines()
    return "\n".join((heading, *(f"> {line}" for line in lines)))
