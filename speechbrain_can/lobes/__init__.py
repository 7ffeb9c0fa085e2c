"""Models of speech emotion recognition, composed of parts that YAML files name.

The modules depend only on torch and SpeechBrain, and ``subwords`` also on
SentencePiece.
"""
