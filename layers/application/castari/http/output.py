"""A part of what an agent prints, as JSON or as server-sent events that a browser resumes by itself."""

from castari.http.answers import Answer, Event, answer
from castari.http.validation import checked, query_of
from castari.schemas.invocations import OutputQuery, OutputResponse
from castari.services.outputs import OutputPart

_EVENTS = "text/event-stream"
_RETRY_MILLISECONDS = 500
_END = "end"
"""Behind the id of the last event: whoever comes back with it has had all, and a 204 ends its coming back."""


def wanted_of(event: Event) -> OutputQuery:
    """Return what is asked for; a browser that comes back says where it was. Raises `FieldsRefused`."""
    query = dict(query_of(event))
    last = _last_event_id(event)
    if wants_events(event) and last is not None:
        query["offset"] = last.removesuffix(_END)
    return checked(OutputQuery, query, "query")


def wants_events(event: Event) -> bool:
    """Tell whether the caller is an `EventSource` or speaks like one."""
    return _EVENTS in event.get("headers", {}).get("accept", "")


def has_had_all(event: Event) -> bool:
    """Tell whether a browser comes back after the last event."""
    return wants_events(event) and (_last_event_id(event) or "").endswith(_END)


def part_answer(event: Event, part: OutputPart) -> Answer:
    """Return a part in the form that was asked for."""
    shape = OutputResponse.of_part(part, part.content)
    if not wants_events(event):
        return answer(200, shape.model_dump(mode="json"), {"Cache-Control": "no-store"})
    events = [f"retry: {_RETRY_MILLISECONDS}\n\n"]
    if part.content:
        events.append(f"id: {part.next_offset}\nevent: output\ndata: {shape.model_dump_json()}\n\n")
    if part.done:
        events.append(f'id: {part.next_offset}{_END}\nevent: end\ndata: {{"status": "{part.status}"}}\n\n')
    headers = {"Content-Type": _EVENTS, "Cache-Control": "no-store"}
    return {"statusCode": 200, "headers": headers, "body": "".join(events), "isBase64Encoded": False}


def nothing_more() -> Answer:
    """Return what ends a browser's coming back."""
    return {"statusCode": 204, "headers": {}, "body": "", "isBase64Encoded": False}


def _last_event_id(event: Event) -> str | None:
    found: str | None = event.get("headers", {}).get("last-event-id")
    return found
