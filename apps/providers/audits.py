"""What must hold of keys."""

from collections import Counter
from collections.abc import Iterator

from apps.core import audit
from apps.partners.models import Partner
from apps.providers.keys import LOW_STOCK
from apps.providers.models import ActivationKey, fingerprint

audit.guarded("providers_activationkey", "providers_key_kept", "providers_key_sold_once")
audit.guarded("providers_keypool", "providers_pool_kept")
audit.guarded("providers_provider", "providers_provider_kept")
# Its object is made of the pool's number, and stands in no table.
audit.OBJECTS[LOW_STOCK] = None


@audit.rule("providers.key-loaded-once", scope="public")
def key_loaded_once() -> Iterator[str]:
    """Every fingerprint is that of its key, and no key is there twice: re-derived from the values."""
    seen: Counter[bytes] = Counter()
    for key in ActivationKey.objects.only("value", "fingerprint").iterator(chunk_size=5000):
        derived = fingerprint(key.value)
        seen[derived] += 1
        if derived != bytes(key.fingerprint):
            yield f"Key {key.pk} has another key's fingerprint"
        if seen[derived] == 2:
            yield f"Key {key.pk} is there twice"


@audit.rule("providers.key-sold-once", scope="public")
def key_sold_once() -> Iterator[str]:
    """A free key has no buyer, a sold one has one buyer, and no request has two keys."""
    sold = ActivationKey.objects.exclude(state=ActivationKey.State.FREE)
    for key in sold.filter(request_id=None):
        yield f"Key {key.pk} is {key.state} to nobody"
    for key in ActivationKey.objects.filter(state=ActivationKey.State.FREE, request_id__isnull=False):
        yield f"Key {key.pk} is free and has the buyer {key.request_id}"
    requests = Counter(sold.filter(request_id__isnull=False).values_list("request_id", flat=True))
    for request_id, count in requests.items():
        if count > 1:
            yield f"Request {request_id} has {count} keys"


@audit.rule("providers.test-keys-apart", scope="public")
def test_keys_apart() -> Iterator[str]:
    """A sandbox partner gets keys of test pools, every other one never does."""
    sandbox = set(Partner.objects.filter(is_sandbox=True).values_list("pk", flat=True))
    sold = ActivationKey.objects.filter(partner_id__isnull=False)
    for key in sold.select_related("pool").only("partner_id", "pool__is_test").iterator():
        if (key.partner_id in sandbox) != key.pool.is_test:
            pool = "test" if key.pool.is_test else "real"
            yield f"Key {key.pk} of a {pool} pool went to partner {key.partner_id}"
