"""Integer maths of trading: scalars in, integers out; runs plain and compiled."""
