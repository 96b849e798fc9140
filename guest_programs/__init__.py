"""Assembly sources: demo (worth showing) and conformance (one behaviour each)."""
