"""Which triggers keep partners, legal entities and terms that are in force."""

from apps.core import audit

audit.guarded("partners_partner", "partners_partner_kept")
audit.guarded("partners_legalentity", "partners_legalentity_kept")
audit.guarded("partners_contractterms", "partners_terms_in_force", "partners_terms_kept")
