"""The LLM seam: a question of the distiller in, a reply out; and the Messages API behind it.

The anthropic package is imported when it is first asked, in the thread that asks: it takes seconds,
and a server that distils by another road never needs it.
"""

import functools
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

from flex_mcp.errors import ModelError, ModelServiceError
from flex_mcp.models import Road
from flex_mcp.models.briefs import Reply, Stop, Turn

if TYPE_CHECKING:
    from anthropic import Anthropic, APIResponse, APIStatusError, CallNext
    from anthropic.types.messages import MessageBatchResult

WINDOW = 120_000  # characters of one question: some 35,000 tokens, far below any model's window
MAX_TOKENS = 8_000  # of one reply: some twenty lessons
TIMEOUT = 180.0  # seconds of one attempt; the SDK makes two more
ANTHROPIC = "https://api.anthropic.com"  # said, or the SDK reads the environment by itself
STOPS = {
    "max_tokens": Stop.LENGTH,
    "model_context_window_exceeded": Stop.LENGTH,
    "refusal": Stop.REFUSAL,
}
STRANGE = (ValueError, TypeError, AttributeError)  # from reading what is no answer of the API
PARTICULAR = re.compile("too long|content filter", re.IGNORECASE)  # a 400 about this text alone
KEY_LENGTH = 8  # characters from which a key is one, and no word of a sentence
STAY = "the trajectories stay pending"
ASSISTANT = "set FLEX_MCP_DISTILLER=assistant to have your assistant write the lessons"
OTHERWISE = f"or {ASSISTANT}"


class ReplyPending(Exception):
    """The reply comes with a later run; what was said so far is kept with the brief until then."""

    def __init__(self, turn: Turn) -> None:
        super().__init__(turn.key)
        self.turn = turn


class LLM(Protocol):
    """Whoever answers questions, in the thread that asks."""

    road: Road
    window: int  # characters of a question that it can take
    claim: timedelta  # how long a brief stays claimed after the last sign of life

    def ask(self, turn: Turn) -> Reply:
        """The reply to a turn's prompt.

        Raises:
            ModelError: there is none.
            ReplyPending: it comes with a later run.
        """
        ...


class AnthropicLLM:
    """A model behind the Messages API, at Anthropic or at any base URL that speaks it.

    Args:
        key: sent as a bearer token.
        model: such as `claude-haiku-5-5`.
        base_url: None for Anthropic's own.
        timeout: seconds of one attempt.
        retries: further attempts after 408, 409, 429, 5xx and broken connections; the SDK makes
            them and honours `retry-after`, unless that is longer than the timeout.
    """

    road = Road.ANTHROPIC
    window = WINDOW
    claim = timedelta(seconds=30)  # renewed while it is asked

    def __init__(
        self,
        key: str,
        *,
        model: str,
        base_url: str | None = None,
        timeout: float = TIMEOUT,
        retries: int = 2,
    ) -> None:
        self.model = model
        self._key = key
        self._base_url = base_url
        self._at = _place(base_url) if base_url else "Anthropic"
        self._timeout = timeout
        self._retries = retries

    @functools.cached_property
    def _client(self) -> "Anthropic":
        from anthropic import Anthropic

        return Anthropic(
            api_key=self._key,
            base_url=self._base_url or ANTHROPIC,
            timeout=self._timeout,
            max_retries=self._retries,
            middleware=[self._no_long_wait],
        )

    def _no_long_wait(self, request: Any, call_next: "CallNext") -> "APIResponse[Any]":
        """A limit may ask for days; the SDK would sleep as long."""
        response = call_next(request)
        headers = response.http_response.headers
        if _wait(headers) > self._timeout:
            headers["x-should-retry"] = "false"
        return response

    def ask(self, turn: Turn) -> Reply:
        request = self._request(turn)
        with self._plain_errors():
            create = cast("Callable[..., object]", self._client.messages.create)
            return _reply(create(**request), self.model)

    def submit(self, turns: Sequence[Turn]) -> str:
        """Send the questions of many briefs as one message batch; returns its id.

        Raises:
            ModelError: it was not taken.
        """
        requests: Any = [{"custom_id": turn.key, "params": self._request(turn)} for turn in turns]
        none = f"{self._at} takes no message batches (404); {STAY}: leave out --batch"
        with self._plain_errors(ModelServiceError(none)):
            return self._client.messages.batches.create(requests=requests).id

    def collect(self, batch: str) -> dict[str, Reply | ModelError] | None:
        """The results of a batch by the keys of its turns; None while it is under way.

        Raises:
            ModelError: it is not known, or cannot be read.
        """
        gone = ModelError(f"the batch {batch} is gone; {STAY}: run it again")
        with self._plain_errors(gone):
            if self._client.messages.batches.retrieve(batch).processing_status != "ended":
                return None
            return {
                item.custom_id: self._result(batch, item.result)
                for item in self._client.messages.batches.results(batch)
            }

    def _result(self, batch: str, result: "MessageBatchResult") -> Reply | ModelError:
        match result.type:
            case "succeeded":
                return _reply(result.message, self.model)
            case "errored":
                why = f"errored: {self._shown(str(result.error.error.message))}"
            case other:
                why = other
        return ModelError(f"the batch {batch} did not answer it ({why}); {STAY}: run it again")

    def _request(self, turn: Turn) -> dict[str, Any]:
        from anthropic import transform_schema

        prompt = turn.prompt
        # The API caches a fixed part from its own minimum on, which a user's prompts may reach.
        fixed = {"type": "text", "text": prompt.system, "cache_control": {"type": "ephemeral"}}
        schema = transform_schema(dict(prompt.schema))
        return {
            "model": self.model,
            "max_tokens": MAX_TOKENS,
            "system": [fixed],
            "messages": [{"role": one.role, "content": one.text} for one in prompt.messages],
            "output_config": {"format": {"type": "json_schema", "schema": schema}},
        }

    @contextmanager
    def _plain_errors(self, missing: ModelError | None = None) -> Generator[None]:
        """The SDK's errors as one sentence: what, which one, what next; for a 404 `missing`."""
        import anthropic
        import httpx2

        at = self._at
        try:
            yield
        except anthropic.APITimeoutError as error:
            raise ModelServiceError(
                f"{self.model} at {at} did not answer within {self._timeout:g} seconds, "
                f"{self._retries + 1} times; {STAY}: try again later, {OTHERWISE}"
            ) from error
        except (anthropic.APIConnectionError, httpx2.HTTPError) as error:
            raise ModelServiceError(
                f"{at} cannot be reached; {STAY}: check the network and ANTHROPIC_BASE_URL, "
                f"{OTHERWISE}"
            ) from error
        except anthropic.NotFoundError as error:
            raise missing or self._refused(error) from error
        except anthropic.APIStatusError as error:
            raise self._refused(error) from error
        except (anthropic.AnthropicError, *STRANGE, httpx2.InvalidURL) as error:
            raise ModelServiceError(
                f"what answers at {at} speaks no Messages API; {STAY}: correct ANTHROPIC_BASE_URL, "
                f"{OTHERWISE}"
            ) from error

    def _refused(self, error: "APIStatusError") -> ModelError:
        at, status, said = self._at, error.status_code, self._shown(_message(error))
        match status:
            case 401 | 403:
                why = f"{at} refused the key ({status})"
                what = f"correct ANTHROPIC_API_KEY, {OTHERWISE}"
            case 402:
                why, what = f"the account at {at} has no credit (402)", f"top it up, {OTHERWISE}"
            case 404:
                why = f"{at} has no model {self.model!r} (404)"
                what = (
                    "set FLEX_MCP_MODEL to one that it has, or correct ANTHROPIC_BASE_URL (no /v1)"
                )
            case 413:
                return ModelError(f"{at} finds the question too long (413); {STAY}: {ASSISTANT}")
            case 400 if PARTICULAR.search(said):
                message = f"{at} does not take this text ({status}: {said}); {STAY}: {ASSISTANT}"
                return ModelError(message)
            case 429:
                why = f"{at} takes no more questions for now (429)"
                what = "wait, and work on fewer at once"
            case other if other >= 500:
                why = f"{at} is overloaded or has a fault ({status})"
                what = f"try again later, {OTHERWISE}"
            case _:
                why = f"{at} refused the question ({status}: {said})"
                what = f"check FLEX_MCP_MODEL ({self.model}), {OTHERWISE}"
        return ModelServiceError(f"{why}; {STAY}: {what}")

    def _shown(self, said: str) -> str:
        """What the service says, in one short line; some repeat the key."""
        if len(self._key) >= KEY_LENGTH:
            said = said.replace(self._key, "(the key)")
        return " ".join(said.split())[:200]


def _wait(headers: Mapping[str, str]) -> float:
    """Seconds that a response asks to wait, read as the SDK does: a number, or a date."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        with suppress(KeyError, ValueError):
            return float(headers[name]) / unit
    with suppress(KeyError, ValueError):
        return parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time()
    return 0


def _place(url: str) -> str:
    """Where a URL leads, without what may be secret in it."""
    return re.sub("//.*@", "//", re.split("[?#]", url, maxsplit=1)[0])


def _message(error: "APIStatusError") -> str:
    body = cast("Mapping[str, Mapping[str, str]]", error.body)
    try:
        return str(body["error"]["message"])
    except (KeyError, TypeError):
        return error.message


def _reply(message: object, asked: str) -> Reply:
    from anthropic.types import Message, TextBlock

    if not isinstance(message, Message) or not hasattr(message.usage, "output_tokens"):
        raise ModelServiceError(
            f"the service's answer is no message; {STAY}: correct ANTHROPIC_BASE_URL, {OTHERWISE}"
        )
    texts = [block.text for block in message.content or () if isinstance(block, TextBlock)]
    usage = message.usage
    cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
    return Reply(
        text="".join(texts).encode(errors="replace").decode(),  # half a surrogate pair is no text
        model=_text(message.model) or asked,
        stop=STOPS.get(message.stop_reason or "", Stop.END),
        input_tokens=_counted(usage.input_tokens + cached),
        output_tokens=_counted(usage.output_tokens),
    )


def _text(value: object) -> str:
    """The SDK takes any JSON; what is no text would break the library's own rows."""
    return value if isinstance(value, str) else ""


def _counted(tokens: object) -> int | None:
    """None where a service does not count, or nonsense."""
    return tokens if isinstance(tokens, int) and 0 <= tokens < 2**31 else None
