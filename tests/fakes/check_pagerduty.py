"""Holds the fake of PagerDuty's Events API, and our events, to PagerDuty's own client (pagerduty, PyPI).

    check_pagerduty.py URL ROUTING_KEY event.json ...

The client opens, acknowledges and resolves an incident at the fake, has a bad event refused, does the same with changes,
and sends each of our events and changes as its own. Exit code 1 if something is otherwise than at the service.
"""

import json
import sys

import pagerduty

url, key, *events = sys.argv[1:]
client = pagerduty.EventsApiV2Client(key)
# It refuses addresses without TLS, which the fake has none of.
client._url = url.removesuffix("/v2/enqueue")
failures = []


def check(what, is_well):
    print(f"{'ok' if is_well else 'WRONG':5} {what}")
    if not is_well:
        failures.append(what)


opened = client.trigger("the disk fills", "a:9100", severity="warning", custom_details={"a": 1})
check("an incident is opened and named by the service", isinstance(opened, str) and opened)
check("it is acknowledged", client.acknowledge(opened) == opened)
check("it is resolved", client.resolve(opened) == opened)
try:
    client.trigger("x", "a:9100", severity="not a severity")
    check("an unknown severity is refused", False)
except pagerduty.HttpError as error:
    check("an unknown severity is refused with 400", error.response.status_code == 400)
# Its own time of day is broken in this version.
at = {"timestamp": "2026-11-26T02:51:01Z"}
client.submit("shop 1.2.3 is out", "shop", {"a": 1}, [{"href": "https://x/", "text": "x"}], **at)
check("a change is taken", True)
try:
    client.submit("", **at)
    check("a change without a summary is refused", False)
except pagerduty.HttpError as error:
    check("a change without a summary is refused with 400", error.response.status_code == 400)
for path in events:
    event = json.load(open(path, encoding="utf-8"))
    if "event_action" not in event:
        event.pop("routing_key")
        client.send_change_event(**event)
        check(path, True)
        continue
    action, dedup_key = event.pop("event_action"), event.pop("dedup_key")
    event.pop("routing_key")
    check(path, client.send_event(action, dedup_key=dedup_key, **event) == dedup_key)
sys.exit(1 if failures else 0)
