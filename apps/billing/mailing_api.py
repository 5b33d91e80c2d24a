"""API: a document goes to the customer's mailbox, because the partner's system asks for it."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.billing import mailing
from apps.core.ids import uuid7
from apps.journal.api import idempotent

SENT = {"message": "01938e2a-7b20-7c11-8a02-5d1e2f3a4b5c", "to": "buh@romashka.example", "state": "queued"}


class WhereSerializer(serializers.Serializer[Any]):
    """Another address than the customer's own."""

    to = serializers.EmailField(
        required=False, allow_blank=True, help_text=_("Без него — на почту для документов, иначе на свою")
    )


class SentSerializer(serializers.Serializer[Any]):
    """The letter, as the log of messages has it."""

    message = serializers.UUIDField(source="pk")
    to = serializers.CharField()
    state = serializers.CharField(help_text="queued, sending, sent, delivered, failed, unknown")


class SendAction:
    """`POST …/{id}/send/`, mixed into the views of invoices, credit notes, acts and receipts."""

    @extend_schema(
        summary=_("Отправить документ на почту"),
        description=_("Письмо с PDF. Организации новые документы уходят сами; так его отправляют ещё раз."),
        request=WhereSerializer,
        responses={202: SentSerializer},
        examples=[
            OpenApiExample(
                "to", summary=_("На другую почту"), value={"to": "buh@romashka.example"}, request_only=True
            ),
            OpenApiExample("sent", summary=_("Письмо"), value=SENT, response_only=True, status_codes=["202"]),
        ],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def send(self: Any, request: Request, pk: str) -> Response:
        printed, given = self.get_object(), WhereSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        auth: Any = request.auth
        sent = mailing.send_again(
            printed,
            key=str(uuid7()),
            to=given.validated_data.get("to", ""),
            actor=f"api:{auth.channel_code}" if auth else "",
        )
        return Response(SentSerializer(sent).data, status.HTTP_202_ACCEPTED)
