"""What a person may set: declared once, read from flags, environment and file, checked, and handed on as one typed record."""
