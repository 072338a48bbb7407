"""What a person sees of a result: one self-contained HTML page, one terminal screen."""
