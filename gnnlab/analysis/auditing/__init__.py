"""One report on a dataset: what its graphs are like, what limits a model on it, what a remedy would change."""

from gnnlab.analysis.auditing.audit import SECTIONS, audit
from gnnlab.analysis.auditing.report import AuditReport, AuditTable, Finding, Picture, Section
from gnnlab.analysis.auditing.sample import AuditSample, Excerpt, audit_sample

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
