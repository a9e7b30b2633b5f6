"""Flow documents: models, validation, templates, expressions, and the flows that ship with us."""
