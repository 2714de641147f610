"""The project's client for Python: a hundred records, half of them with a time of nanoseconds."""

import sys

from fluent import sender


def text(number):
    return f"from 30 nr {number} and some text that makes it as long as a line is"


port = int(sys.argv[1])
for precise in (False, True):
    logger = sender.FluentSender("app", host="127.0.0.1", port=port, nanosecond_precision=precise)
    for number in range(50 * precise, 50 * precise + 50):
        if not logger.emit("python", {"log": text(number), "nested": {"list": [1, None, True]}}):
            sys.exit(str(logger.last_error))
    logger.close()
