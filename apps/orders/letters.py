"""What the customer is told about products, composed here and handed down to be sent."""

from apps import notifications
from apps.orders.models import Fulfilment, Service


def delivered(service: Service, fulfilment: Fulfilment) -> None:
    """«Доступ к продукту»: the key, link or instructions; again when a renewal brings a new key."""
    customer = service.customer
    notifications.send(
        "key_delivered",
        to_email=customer.email,
        to_phone=customer.phone,
        customer_id=customer.pk,
        context={
            "product": service.name,
            "key": service.key,
            "url": service.url,
            "instructions": service.instructions,
            "period_end": f"{service.active_until:%d.%m.%Y}" if service.active_until else "",
        },
        key=f"key_delivered:{fulfilment.pk}",
        language=customer.language,
    )
