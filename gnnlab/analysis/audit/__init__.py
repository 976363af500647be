"""One report on a dataset: what its graphs are like, what limits a model on it, what a remedy would change."""

from gnnlab.analysis.audit.audit import SECTIONS, audit
from gnnlab.analysis.audit.report import AuditReport, AuditTable, Finding, Picture, Section
from gnnlab.analysis.audit.sample import AuditSample, Excerpt, audit_sample

__all__ = [
    "SECTIONS",
    "AuditReport",
    "AuditSample",
    "AuditTable",
    "Excerpt",
    "Finding",
    "Picture",
    "Section",
    "audit",
    "audit_sample",
]
