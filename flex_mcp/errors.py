"""What can go wrong, as one tree.

Every message is one sentence for the person or model that reads it: what, which one, what next.
"""


class FlexError(Exception):
    """Base of all errors of flex-mcp; its text is meant to be shown."""


class InputError(FlexError):
    """An argument was refused; nothing happened."""


class NotFoundError(InputError):
    """An id that this library does not hold."""


class ChangedError(InputError):
    """An experience was changed by another since it was shown; look at it again."""


class WordError(InputError, ValueError):
    """A word that is none of its closed set; Python, and Pydantic, know it as a ValueError."""


class SettingError(FlexError):
    """An environment variable or option cannot be used."""


class ClientError(FlexError):
    """The configuration of a client cannot be used; it is left as it is."""


class ClientCommandError(ClientError):
    """A client's own command did not do what it was asked for."""


class PromptError(FlexError):
    """A prompt is missing, or a value that it needs."""


class EmbedderError(FlexError):
    """The embedder's model cannot be loaded, or does not match the library's vectors."""


class ModelError(FlexError):
    """No answer of an LLM could be used; its trajectories stay pending."""


class AnswerError(ModelError):
    """An answer of an LLM is malformed; it is asked for once more."""


class StaleError(AnswerError):
    """An answer changes an experience that has changed since it was shown."""


class DeclinedError(ModelError):
    """Whoever lends the LLM does not want it asked."""


class ModelServiceError(ModelError):
    """The LLM cannot be asked now: whatever else it were asked would fail as well."""


class LibraryError(FlexError):
    """The library's file cannot be used."""


class NotALibraryError(LibraryError):
    """Another kind of file, or a damaged one; it is left as it is."""


class NewerLibraryError(LibraryError):
    """The file was written by a newer version of flex-mcp."""


class VectorsError(LibraryError):
    """The library's vectors are damaged; a reindex makes them anew."""


class BusyLibraryError(LibraryError):
    """Another process held the write lock for longer than we wait."""


class ReadOnlyLibraryError(LibraryError):
    """The file or its folder cannot be written."""


class FullDiskError(LibraryError):
    """No room is left where the library lies."""
