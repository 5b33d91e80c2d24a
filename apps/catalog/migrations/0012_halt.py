"""Why a tariff is not sold just now, as a function: as an expression the purchase's query took ten times as long to plan."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION public.catalog_halt(wanted bigint, for_sandbox boolean, at timestamptz) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    sold record;
    cause text;
BEGIN
    SELECT tariff.id, tariff.code, tariff.current_id, product.id AS product_id, product.delivery, product.provider_id,
        provider.sells_when_down,
        CASE WHEN for_sandbox THEN provider.test_connection_id ELSE provider.connection_id END AS line
    INTO sold
    FROM public.catalog_tariff tariff
    JOIN public.catalog_product product ON product.id = tariff.product_id
    LEFT JOIN public.providers_provider provider ON provider.id = product.provider_id
    WHERE tariff.id = wanted;

    -- «hand» comes before «works».
    SELECT stop.cause INTO cause FROM public.catalog_salesstop stop
    WHERE stop.closed_at IS NULL AND stop.cause IN ('hand', 'works') AND stop.starts_at <= at
        AND (stop.ends_at IS NULL OR stop.ends_at > at)
        AND (stop.provider_id = sold.provider_id OR stop.product_id = sold.product_id OR stop.tariff_id = sold.id)
    ORDER BY stop.cause LIMIT 1;
    IF cause = 'hand' OR cause IS NOT NULL AND sold.delivery = 'bundle' THEN
        RETURN cause;
    END IF;

    IF sold.delivery = 'bundle' THEN
        SELECT part.halt INTO cause FROM (
            SELECT public.catalog_halt(bundled.tariff_id, for_sandbox, at) AS halt, bundled.position
            FROM public.catalog_bundlepart bundled WHERE bundled.version_id = sold.current_id
        ) part
        WHERE part.halt IS NOT NULL ORDER BY part.halt = 'late', part.position LIMIT 1;
        RETURN cause;
    END IF;

    IF cause IS NULL AND sold.line IS NOT NULL AND sold.delivery <> 'manual' AND EXISTS (
        SELECT FROM public.connectors_connection line
        WHERE line.id = sold.line AND (line.opened_at IS NOT NULL OR NOT line.is_enabled)
    ) THEN
        cause := 'circuit';
    ELSIF cause IS NULL AND sold.line IS NULL AND sold.delivery = 'key' AND EXISTS (
        SELECT FROM public.providers_keypool pool WHERE pool.sku = sold.code AND pool.is_test = for_sandbox
    ) AND NOT EXISTS (
        SELECT FROM public.providers_keypool pool
        JOIN public.providers_activationkey key ON key.pool_id = pool.id AND key.state = 'free'
        WHERE pool.sku = sold.code AND pool.is_test = for_sandbox
    ) THEN
        cause := 'keys';
    END IF;
    RETURN CASE WHEN cause IS NOT NULL AND sold.sells_when_down THEN 'late' ELSE cause END;
END $$;
"""
BACKWARD = "DROP FUNCTION public.catalog_halt(bigint, boolean, timestamptz);"


class Migration(migrations.Migration):
    dependencies = [("catalog", "0011_plans"), ("connectors", "0004_breaker")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
