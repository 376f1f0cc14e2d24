"""Questions to a Cairn service, for Python 3.9 and newer. Copy this file; it needs nothing else.

    from cairn import Cairn

    cairn = Cairn("http://127.0.0.1:8620", key=None)
    print(cairn.ask("How do I rotate keys?")["answer"])

    with cairn.stream("How do I rotate keys?", top_k=5) as events:
        for event in events:
            if event["event"] == "delta":
                print(event["data"]["text"], end="", flush=True)

What the service sends is passed on as it is, as dictionaries that have types: fields that a
newer service adds are there, too. Offsets of citations count characters, as Python's do.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import socket
import ssl
import time
from types import TracebackType
from typing import Any, Dict, Iterator, List, Literal, Optional, Sequence, Type, TypedDict, Union
from urllib.parse import quote, urlsplit

__all__ = ["Cairn", "CairnError", "Events", "InputNeeded", "quoted"]


class _Citation(TypedDict):
    n: int
    chunk_id: str
    start: int
    end: int


class Citation(_Citation, total=False):
    """Where the answer has the mark `[n]` of source `n`. `source_start` and `source_end` are
    of quotations alone: their place in the source's text."""

    source_start: int
    source_end: int
    page: int


class Ranks(TypedDict):
    """Ranks of a passage in each list that had it, from 1."""

    lexical: Optional[int]
    dense: Optional[int]
    fused: Optional[int]
    rerank: Optional[int]


class PageStart(TypedDict):
    """Where a page begins in the text of a source."""

    number: int
    start: int


class _Source(TypedDict):
    n: int
    chunk_id: str
    document_id: str
    uri: str
    title: str
    heading_path: List[str]
    start: int
    end: int
    text: str
    score: float
    ranks: Ranks


class Source(_Source, total=False):
    """A passage that was found. `start` and `end` are bytes of the document."""

    page: int
    pages: List[PageStart]
    columns: str
    cosine: float
    copies: int


class Found(TypedDict):
    """What was found, before any word is written."""

    query_id: str
    collection: str
    generation: int
    sources: List[Source]
    timings_ms: Dict[str, float]
    degraded: List[str]


class Usage(TypedDict):
    """Tokens, and US dollars."""

    prompt_tokens: int
    completion_tokens: int
    cached_prompt_tokens: int
    cost_usd: float
    estimated: bool


class _Done(TypedDict):
    query_id: str
    answer: str
    citations: List[Citation]
    refused: bool
    grounded: bool
    answerability: float
    finish_reason: str
    provider: str
    model: str
    usage: Usage
    timings_ms: Dict[str, float]
    degraded: List[str]


class Done(_Done, total=False):
    """A whole answer. `cache` says how an earlier answer of the model was used again."""

    cache: Literal["exact", "semantic", "stale"]


class _Step(TypedDict):
    n: int
    turn: int
    tool: str
    arguments: Any
    result: str
    ok: bool
    milliseconds: float
    cost_usd: float


class Step(_Step, total=False):
    """What an agent did."""

    thought: str


class _Answer(Done):
    collection: str
    generation: int
    sources: List[Source]


class Answer(_Answer, total=False):
    """A whole answer with its sources, and the steps of an agent."""

    steps: List[Step]


class PendingCall(TypedDict):
    """A call that waits for a person."""

    id: str
    tool: str
    arguments: Any


class InputRequired(TypedDict):
    """Calls that an agent may not make before a person has allowed them."""

    run_id: str
    expires_in_seconds: int
    calls: List[PendingCall]


class Delta(TypedDict):
    """Text to append to the answer."""

    text: str


class StepEvent(TypedDict):
    event: Literal["step"]
    data: Step


class SourcesEvent(TypedDict):
    event: Literal["sources"]
    data: Found


class DeltaEvent(TypedDict):
    event: Literal["delta"]
    data: Delta


class CitationEvent(TypedDict):
    event: Literal["citation"]
    data: Citation


class DoneEvent(TypedDict):
    event: Literal["done"]
    data: Done


class InputRequiredEvent(TypedDict):
    event: Literal["input_required"]
    data: InputRequired


AnswerEvent = Union[StepEvent, SourcesEvent, DeltaEvent, CitationEvent, DoneEvent, InputRequiredEvent]


class CairnError(Exception):
    """What went wrong. `code` is one of the service ("not_found", "overloaded", ...), or
    "unreachable", "interrupted" or "unexpected_response". `param` names the field that is to
    blame, `retry_after` says in how many seconds it may work, and `request_id` finds the
    request in the log of the service."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: Optional[int] = None,
        param: Optional[str] = None,
        retryable: bool = False,
        retry_after: Optional[float] = None,
        request_id: Optional[str] = None,
    ) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.status = status
        self.param = param
        self.retryable = retryable
        self.retry_after = retry_after
        self.request_id = request_id


class InputNeeded(CairnError):
    """An agent waits for a person: `Cairn.decide` goes on with `required["run_id"]`."""

    def __init__(self, required: InputRequired) -> None:
        super().__init__("input_required", "the agent waits until somebody allows its calls")
        self.required = required


class Events:
    """The events of one answer, in their order; the last one is `done` or `input_required`.
    `close`, of this thread or of another, cancels the work of the service and ends the loop."""

    def __init__(self, connection: socket.socket, response: http.client.HTTPResponse) -> None:
        self._socket = connection
        self._response = response
        self._closed = False
        self._events = self._read()

    def __iter__(self) -> Iterator[AnswerEvent]:
        return self

    def __next__(self) -> AnswerEvent:
        return next(self._events)

    def __enter__(self) -> Events:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection. Once is enough, more do no harm."""
        self._closed = True
        try:
            # Wakes a thread that reads, as closing alone does not.
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()

    def _read(self) -> Iterator[AnswerEvent]:
        try:
            for name, data in self._frames():
                if self._closed:
                    return
                if name == "error":
                    raise _failure(json.loads(data), None, None)
                event: Any = {"event": name, "data": json.loads(data)}
                yield event
                if name in ("done", "input_required"):
                    return
        except (OSError, http.client.HTTPException, ValueError) as error:
            if not self._closed:
                raise _interrupted(error) from error
        else:
            if not self._closed:
                raise _interrupted(None)
        finally:
            self.close()
            self._response.close()

    def _frames(self) -> Iterator[tuple[str, str]]:
        name, data = "message", []
        while line := self._response.readline():
            text = line.decode().rstrip("\r\n")
            field, _, value = text.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif not text:
                if data:
                    yield name, "\n".join(data)
                name, data = "message", []


class Cairn:
    """A service at `url`, asked with the API key `key` where it needs one.

    A request that is turned away with 429 or 503 and a `Retry-After` is sent again up to
    `retries` times, where that says no more than `max_wait` seconds; an answer that has begun
    never is. `timeout` is how many seconds the service may be silent: streams say something
    every 15. `ssl_context` is for certificates that the machine does not trust.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8620",
        key: Optional[str] = None,
        *,
        retries: int = 2,
        max_wait: float = 30.0,
        timeout: float = 90.0,
        ssl_context: Optional[ssl.SSLContext] = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address such as http://127.0.0.1:8620")
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._secure else 80)
        self._path = parts.path.rstrip("/")
        self._headers = {"content-type": "application/json"}
        if key:
            self._headers["authorization"] = f"Bearer {key}"
        self._retries, self._max_wait, self._timeout = retries, max_wait, timeout
        self._ssl_context = ssl_context

    def ask(self, query: str, **options: Any) -> Answer:
        """The whole answer to a question. `options` are the fields of `POST /query`, such as
        `collection`, `top_k`, `filter`, `history` and `model`. Raises `CairnError`, and
        `InputNeeded` where an agent waits for a person."""
        connection, response = self._post("/query", {**options, "query": query, "stream": False})
        try:
            body = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _interrupted(error) from error
        finally:
            connection.close()
        if response.status == 202:
            raise InputNeeded(body["input_required"])
        answer: Answer = body
        return answer

    def stream(self, query: str, **options: Any) -> Events:
        """The events of an answer, as they come. Raises `CairnError`, also while it is read."""
        return self._events("/query", {**options, "query": query, "stream": True})

    def decide(self, run_id: str, approve: Sequence[str]) -> Events:
        """Goes on with an agent that waits, and may make the calls with the ids `approve`."""
        body = {"approve": list(approve), "stream": True}
        return self._events(f"/query/{quote(run_id, safe='')}/input", body)

    def _events(self, path: str, body: Dict[str, Any]) -> Events:
        return Events(*self._post(path, body))

    def _post(
        self, path: str, body: Dict[str, Any]
    ) -> tuple[socket.socket, http.client.HTTPResponse]:
        """Sends `body` until it is not turned away; the response is a success."""
        for left in range(self._retries, -1, -1):
            connection, response = self._send(path, body)
            if response.status in (200, 202):
                return connection, response
            try:
                error = _refusal(response)
            finally:
                connection.close()
            wait = error.retry_after
            again = response.status in (429, 503) and wait is not None and wait <= self._max_wait
            if wait is None or not again or left == 0:
                raise error
            time.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _send(
        self, path: str, body: Dict[str, Any]
    ) -> tuple[socket.socket, http.client.HTTPResponse]:
        connection = (
            http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout, context=self._ssl_context
            )
            if self._secure
            else http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        )
        try:
            connection.connect()
            sock: socket.socket = connection.sock
            connection.request("POST", self._path + path, json.dumps(body), self._headers)
            return sock, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            message = f"the service at {self._host} cannot be reached: {error}"
            raise CairnError("unreachable", message, retryable=True) from error


def quoted(citation: Citation, sources: Sequence[Source]) -> Optional[str]:
    """The words of the source that a citation quotes; the whole passage where it names no
    place in it, and nothing where it is of no source."""
    for source in sources:
        if source["n"] == citation["n"]:
            return source["text"][citation.get("source_start") : citation.get("source_end")]
    return None


def _refusal(response: http.client.HTTPResponse) -> CairnError:
    """The error of a response that is no success."""
    try:
        return _failure(json.loads(response.read()), response.status, response.headers)
    except (OSError, http.client.HTTPException, ValueError):
        return _failure(None, response.status, response.headers)


def _failure(
    body: Any, status: Optional[int], headers: Optional[http.client.HTTPMessage]
) -> CairnError:
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        message = f"the service answered with status {status}, and not as Cairn does"
        error = {"code": "unexpected_response", "message": message}
    retry_after = _seconds(headers.get("retry-after")) if headers else None
    return CairnError(
        str(error.get("code")),
        str(error.get("message")),
        status=status,
        param=error.get("param"),
        retryable=bool(error.get("retryable", retry_after is not None)),
        retry_after=retry_after,
        request_id=headers.get("x-request-id") if headers else None,
    )


def _interrupted(cause: Optional[Exception]) -> CairnError:
    why = f": {cause}" if cause else ""
    message = f"the connection ended before the answer did{why}"
    return CairnError("interrupted", message, retryable=True)


def _seconds(retry_after: Optional[str]) -> Optional[float]:
    """Seconds of a `Retry-After`, which is a number or a date."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
