"""htnet: facial micro-expression recognition."""
