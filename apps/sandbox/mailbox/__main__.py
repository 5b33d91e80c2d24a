"""Run the mailbox: `python -m apps.sandbox.mailbox --port 9104 --smtp-port 9105 --state var/sandbox`."""

import argparse
import asyncio
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import escape
from pathlib import Path
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from apps.sandbox.clock import stamp
from apps.sandbox.service import Service, page
from apps.sandbox.store import Doc

HERE = Path(__file__).parent


class Mailbox(Service):
    """SMTP in, pages and JSON out. Any login is accepted."""

    name = "mailbox"
    shared_kinds = ("delay", "drop_answer")
    fault_kinds = ("reject", "refuse", "drop")

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--smtp-port", type=int, default=0, help="0 takes a free one")

    async def started(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, self.options.host, self.options.smtp_port)

    def addresses(self, base_url: str) -> list[str]:
        return [base_url, f"smtp://{self.options.host}:{self._server.sockets[0].getsockname()[1]}"]

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/", self.inbox)
        for path in ("/messages", "/_control/messages"):
            router.add_get(path, self.list_messages)
            router.add_delete(path, self.delete_messages)
        router.add_get("/messages/{id}", self.letter)
        router.add_get("/messages/{id}/html", self.letter_html)

    def register(self, query: dict[str, str]) -> dict[str, Any]:
        return {"messages": self._found(query.get("to"))}

    # -- SMTP ----------------------------------------------------------------------------------------

    def _session(self) -> SMTP:
        return SMTP(
            self,
            enable_SMTPUTF8=True,
            authenticator=lambda *args: AuthResult(success=True),
            auth_require_tls=False,
            data_size_limit=32 * 2**20,
            hostname="mailbox.localhost",
        )

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.faults.take(["refuse"], {"operation": "recipient", "to": address}):
            return "550 5.1.1 No such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        letter = _read(envelope, stamp(self.clock.now()))
        facts = {"operation": "letter", "to": letter["to"][0], "subject": letter["subject"]}
        if fault := self.faults.take(["delay"], facts):
            await asyncio.sleep(1.0 if fault.seconds is None else fault.seconds)
        if not self.is_on or self.faults.take(["reject"], facts):
            return "451 4.3.0 Try again later"
        if self.faults.take(["drop"], facts):
            _hang_up(server)
            return "421 Dropped"
        key = str(len(self.store.table("letters")) + 1)
        self.store.put("letters", key, {"id": key, **letter})
        if self.faults.take(["drop_answer"], facts):
            _hang_up(server)
        return f"250 OK queued as {key}"

    # -- HTTP ----------------------------------------------------------------------------------------

    def _found(self, to: str | None) -> list[Doc]:
        """Letters, oldest first, those to an address if one is given."""
        deleted = (self.store.get("deleted", "letters") or {"up_to": 0})["up_to"]
        letters = self.store.table("letters").values()
        wanted = to.lower() if to else None
        return [
            doc
            for doc in letters
            if int(doc["id"]) > deleted and (wanted is None or wanted in map(str.lower, doc["to"]))
        ]

    async def list_messages(self, request: web.Request) -> web.Response:
        return web.json_response({"items": self._found(request.query.get("to"))})

    async def delete_messages(self, request: web.Request) -> web.Response:
        """Hidden, not deleted: their ids are never given again."""
        self.store.put("deleted", "letters", {"up_to": len(self.store.table("letters"))})
        return web.json_response({"items": []})

    async def inbox(self, request: web.Request) -> web.Response:
        found = reversed(self._found(request.query.get("to"))[-200:])
        rows = "".join(_row(doc) for doc in found) or "<p>Писем пока нет.</p>"
        return page(HERE, "inbox", rows=rows)

    async def letter(self, request: web.Request) -> web.Response:
        doc = self._letter(request)
        frame = (
            f'<iframe src="/messages/{doc["id"]}/html" sandbox title="Письмо"></iframe>'
            if doc["html"]
            else ""
        )
        names = ", ".join(row["name"] for row in doc["attachments"])
        return page(
            HERE,
            "letter",
            subject=escape(doc["subject"]),
            sender=escape(doc["from"]),
            to=escape(", ".join(doc["to"])),
            at=escape(doc["received_at"][:19].replace("T", " ")),
            frame=frame,
            text=escape(doc["text"]),
            attachments=escape(f"Вложения: {names}") if names else "",
        )

    async def letter_html(self, request: web.Request) -> web.Response:
        return web.Response(text=self._letter(request)["html"], content_type="text/html", charset="utf-8")

    def _letter(self, request: web.Request) -> Doc:
        doc = self.store.get("letters", request.match_info["id"])
        if doc is None:
            raise web.HTTPNotFound(text="Письма нет")
        return doc


def _read(envelope: Envelope, received_at: str) -> Doc:
    raw = envelope.original_content or b""
    mail = message_from_bytes(raw, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    attachments = [
        {"name": part.get_filename() or "", "type": part.get_content_type(), "bytes": len(_bytes(part))}
        for part in mail.iter_attachments()
    ]
    return {
        "from": str(mail["From"] or envelope.mail_from or ""),
        "to": envelope.rcpt_tos,
        "subject": str(mail["Subject"] or ""),
        "text": _body(mail, "plain"),
        "html": _body(mail, "html"),
        "headers": {name: str(value) for name, value in mail.items()},
        "attachments": attachments,
        "received_at": received_at,
    }


def _body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body(preferencelist=(kind,))
    return part.get_content() if part is not None else ""


def _bytes(part: Any) -> bytes:
    return part.get_payload(decode=True) or b""


def _hang_up(server: SMTP) -> None:
    if isinstance(server.transport, asyncio.WriteTransport):
        server.transport.abort()


def _row(doc: Doc) -> str:
    head = f"{doc['received_at'][:19].replace('T', ' ')} · {', '.join(doc['to'])}"
    subject = escape(doc["subject"] or "(без темы)")
    return f'<a href="/messages/{doc["id"]}"><small>{escape(head)}</small><b>{subject}</b></a>'


if __name__ == "__main__":
    Mailbox.main()
