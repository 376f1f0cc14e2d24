"""What the client makes of a service (the first argument), with its key (the second), and of one
that is in trouble (the third). Printed as JSON; `ask.ts` says the same."""

import json
import sys
from typing import Any, Callable, Dict, List

from cairn import Cairn, CairnError, InputNeeded, quoted

URL, KEY, TROUBLED = sys.argv[1:]
QUESTION = "Who holds the writer lock?"
said: Dict[str, Any] = {}


def failure(call: Callable[[], Any]) -> List[Any]:
    try:
        call()
    except CairnError as error:
        return [error.code, error.status, error.param, error.retryable, error.retry_after]
    return ["nothing failed"]


def text(cairn: Cairn) -> str:
    """All that is sent of an answer, and then whatever breaks."""
    with cairn.stream(QUESTION) as events:
        return "".join(event["data"]["text"] for event in events if event["event"] == "delta")


cairn = Cairn(URL + "/", KEY, retries=0)
answer = cairn.ask(QUESTION, generate=False, top_k=3)
said["answer"] = answer["answer"]
said["uris"] = sorted({source["uri"] for source in answer["sources"]})
said["marks"] = [answer["answer"][mark["start"] : mark["end"]] for mark in answer["citations"]]
said["quotes"] = [quoted(citation, answer["sources"]) for citation in answer["citations"]]

pieces, names = "", []
for event in cairn.stream(QUESTION, generate=False, top_k=3):
    if event["event"] == "delta":
        pieces += event["data"]["text"]
    elif event["event"] == "done":
        said["stream"] = [pieces, event["data"]["answer"]]
    if event["event"] not in names:
        names.append(event["event"])
said["events"] = names

# The service works on one question at a time, and its model never ends by itself.
events = cairn.stream(QUESTION)
while next(events)["event"] != "delta":
    pass
said["full"] = failure(lambda: cairn.ask(QUESTION, generate=False))
events.close()
said["closed"] = len(list(events))
patient = Cairn(URL, KEY, retries=30)
said["patient"] = patient.ask(QUESTION, generate=False)["refused"]

said["key"] = failure(lambda: Cairn(URL, "wrong").ask(QUESTION))
said["collection"] = failure(lambda: cairn.ask(QUESTION, collection="nowhere"))
said["field"] = failure(lambda: cairn.stream(QUESTION, top_k=0))
said["nobody"] = failure(lambda: Cairn("http://127.0.0.1:1").ask(QUESTION))

said["busy"] = Cairn(TROUBLED + "/busy").ask(QUESTION)["answer"]
said["busy stream"] = text(Cairn(TROUBLED + "/busy-stream"))
for name in ["full", "later", "spent", "proxy"]:
    said["troubled " + name] = failure(lambda: Cairn(f"{TROUBLED}/{name}").ask(QUESTION))
for name in ["broken", "ended", "failed"]:
    said["troubled " + name] = failure(lambda: text(Cairn(f"{TROUBLED}/{name}")))
waiting = Cairn(TROUBLED + "/waits")
try:
    waiting.ask(QUESTION)
except InputNeeded as error:
    said["run"] = error.required["run_id"]
    said["allowed"] = [event["event"] for event in waiting.decide("a run/1", ["call-1"])]

print(json.dumps(said))
