"""A key may lie for an item of an order: it is nobody else's until that is over."""

from django.db import migrations, models

FUNCTION = """
CREATE OR REPLACE FUNCTION providers_key_sold_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'free' THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    -- What is put aside is sold to who it lies for, or free again.
    IF OLD.state = 'reserved' AND TG_OP = 'UPDATE' AND NEW.state IN ('free', 'sold', 'reserved')
        AND (NEW.state <> 'reserved' OR NEW.holder_id = OLD.holder_id)
        AND (NEW.fingerprint, NEW.pool_id) IS NOT DISTINCT FROM (OLD.fingerprint, OLD.pool_id) THEN
        RETURN NEW;
    END IF;
    -- The ciphertext may change (keys of encryption are rotated), what it stands for may not.
    IF TG_OP = 'DELETE' OR NEW.state IN ('free', 'reserved')
        OR (NEW.request_id, NEW.fingerprint, NEW.pool_id, NEW.partner_id, NEW.sold_at)
            IS DISTINCT FROM (OLD.request_id, OLD.fingerprint, OLD.pool_id, OLD.partner_id, OLD.sold_at) THEN
        RAISE EXCEPTION 'Activation key % has been sold', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""
OF_ONE_HOLDER = (
    models.Q(state="free", request_id=None, sold_at=None, holder_id=None)
    | models.Q(
        state="reserved", request_id=None, sold_at=None, holder_id__isnull=False, partner_id__isnull=False
    )
    | models.Q(
        state__in=["sold", "revoked", "defective"],
        holder_id=None,
        request_id__isnull=False,
        sold_at__isnull=False,
    )
)
STATES = [
    ("free", "Свободен"),
    ("reserved", "Отложен"),
    ("sold", "Выдан"),
    ("revoked", "Отозван"),
    ("defective", "Брак"),
]


class Migration(migrations.Migration):
    dependencies = [("providers", "0009_letters_to_providers")]

    operations = [
        migrations.AddField(
            "activationkey", "holder_id", models.UUIDField(null=True, verbose_name="отложен для")
        ),
        migrations.AlterField(
            "activationkey",
            "state",
            models.CharField(choices=STATES, default="free", max_length=10, verbose_name="состояние"),
        ),
        migrations.RemoveConstraint("activationkey", "providers_key_sold_to_one"),
        migrations.AddConstraint(
            "activationkey",
            models.CheckConstraint(condition=OF_ONE_HOLDER, name="providers_key_sold_to_one"),
        ),
        migrations.AddIndex(
            "activationkey",
            models.Index(
                fields=["holder_id"], condition=models.Q(state="reserved"), name="providers_key_reserved"
            ),
        ),
        migrations.RunSQL(FUNCTION, migrations.RunSQL.noop),
    ]
