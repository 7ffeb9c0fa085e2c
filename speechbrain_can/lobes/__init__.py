"""Models of speech emotion recognition, from parts that a YAML file names.

These modules depend on torch and SpeechBrain only; subwords.py on SentencePiece
too, as SpeechBrain does.
"""
