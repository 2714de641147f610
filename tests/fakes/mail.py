"""A mail server (aiosmtpd, PyPI) that says what it got, and misbehaves on command.

    mail.py FOLDER [plain|starttls|tls] [CERT KEY]

It writes its port to FOLDER/port, and each letter it takes as a line of JSON to FOLDER/letters, as Python's own reader of
mail understands it. FOLDER/manner, read anew for each letter, says how it behaves: `well`, a number to answer (`451`),
`hang` (takes the letter and never answers), `drop` (takes it and closes the connection). Whoever is called `nobody`, and
`later` for now, is refused. With a user in FOLDER/login (`name:password`) nobody else may send.
"""

import asyncio
import email
import email.policy
import json
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

folder = pathlib.Path(sys.argv[1])
way = sys.argv[2] if len(sys.argv) > 2 else "plain"
context = None
if way != "plain":
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(sys.argv[3], sys.argv[4])


def said(name, otherwise=""):
    path = folder / name
    return path.read_text().strip() if path.exists() else otherwise


def understood(envelope, session):
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    parts = [part for part in message.walk() if not part.is_multipart()]
    defects = [repr(defect) for part in message.walk() for defect in part.defects]
    defects += [repr(defect) for value in message.values() for defect in getattr(value, "defects", ())]
    return {
        "from": envelope.mail_from,
        "to": envelope.rcpt_tos,
        "tls": session.ssl is not None or way == "tls",
        "login": session.authenticated,
        "hello": session.host_name,
        "type": message.get_content_type(),
        "headers": {name: str(value) for name, value in message.items()},
        "parts": [[part.get_content_type(), part.get_content()] for part in parts],
        "defects": defects,
        "longest": max(len(line) for line in envelope.content.split(b"\r\n")),
        "bytes": len(envelope.content),
    }


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such person"
        if address.startswith("later@"):
            return "450 4.2.1 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        manner = said("manner", "well")
        if manner.isdigit():
            return f"{manner} as told"
        with open(folder / "letters", "a") as letters:
            letters.write(json.dumps(understood(envelope, session)) + "\n")
        if manner == "hang":
            await asyncio.sleep(3600)
        if manner == "drop":
            server.transport.abort()
            await asyncio.sleep(3600)
        return "250 2.0.0 queued as 42"


def authenticate(server, session, envelope, mechanism, data):
    name, password = said("login").split(":")
    is_right = (data.login, data.password) == (name.encode(), password.encode())
    return AuthResult(success=is_right, handled=is_right)


def factory():
    login = bool(said("login"))
    return SMTP(
        Handler(),
        hostname="mail.test",
        enable_SMTPUTF8=True,
        data_size_limit=16 << 20,
        tls_context=context if way == "starttls" else None,
        require_starttls=way == "starttls",
        authenticator=authenticate if login else None,
        auth_required=login,
        auth_require_tls=way == "starttls",
    )


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(factory, "127.0.0.1", 0, ssl=context if way == "tls" else None)
    port = server.sockets[0].getsockname()[1]
    (folder / "port.new").write_text(str(port))
    (folder / "port.new").rename(folder / "port")
    await server.serve_forever()


asyncio.run(main())
