"""One report on a dataset: what its graphs are like, what limits a model on it, what a remedy would change."""

from gnnlab.analysis.audit.report import AuditReport, AuditTable, Finding, Picture, Section

__all__ = ["AuditReport", "AuditTable", "Finding", "Picture", "Section"]
