"""Holds Slack payloads, and the fake's verdicts, against slack_sdk (PyPI), an independent implementation.

    check_slack.py payload.json ...      each must be valid
    check_slack.py --cases cases.json    each verdict must be slack_sdk's, where slack_sdk checks the rule

Exit code 1 if one is not.
"""

import json
import logging
import sys

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block


def complaint(payload):
    """What slack_sdk has against a payload, or None."""
    if not isinstance(payload, dict):
        return None
    lists = [payload.get("blocks", [])]
    lists += [attachment.get("blocks", []) for attachment in payload.get("attachments", [])]
    for blocks in lists:
        for raw in blocks:
            try:
                parsed = Block.parse(raw)
                if parsed is None:
                    return f"unknown block {raw.get('type')!r}"
                parsed.validate_json()
                for part in [parsed, *(getattr(parsed, "fields", None) or []), getattr(parsed, "text", None)]:
                    if hasattr(part, "to_dict"):
                        part.to_dict()
            except (SlackObjectFormationError, TypeError) as error:
                return f"{raw.get('type')}: {error}"
        if len(Block.parse_all(blocks)) != len(blocks):
            return "some blocks were not understood"
    return None


def check_cases(path):
    failures = 0
    for case in json.load(open(path, encoding="utf-8")):
        found = complaint(case["payload"])
        fake_takes, sdk_takes = case["answer"] == "ok", found is None
        agrees = fake_takes == sdk_takes
        expected = agrees if case["sdk_checks"] else (sdk_takes and not fake_takes)
        word = "ok" if expected else "WRONG"
        note = "" if case["sdk_checks"] else " (not checked by slack_sdk)"
        print(f"{word:5} {case['name']}: fake says {case['answer']}, slack_sdk says {found or 'ok'}{note}")
        failures += not expected
    return failures


def check_payloads(paths):
    failures = 0
    for path in paths:
        found = complaint(json.load(open(path, encoding="utf-8")))
        print(f"{'ok' if found is None else 'WRONG':5} {path}{'' if found is None else ': ' + found}")
        failures += found is not None
    return failures


if __name__ == "__main__":
    # slack_sdk also logs what it does not understand; the verdict says it.
    logging.disable(logging.CRITICAL)
    arguments = sys.argv[1:]
    if not arguments:
        sys.exit(__doc__)
    cases = arguments[:1] == ["--cases"]
    wrong = sum(map(check_cases, arguments[1:])) if cases else check_payloads(arguments)
    sys.exit(1 if wrong else 0)
