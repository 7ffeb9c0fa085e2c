"""Cross Attention Network: a SpeechBrain plugin for emotion recognition from
audio and text that are aligned word by word.

Data flows one way through the modules::

    corpus -> manifest -> segments -> batch -> lobes -> losses -> results -> report

* ``alignment``: word records, readers of alignment files, segmentation
* ``manifest``, ``protocols``: one CSV a corpus, one CSV of folds a protocol
* ``features``: MFCC of every word of a corpus, computed once
* ``dataio``: the datasets of a fold and their flat batches
* ``lobes``: the models, from parts that a YAML file names
* ``losses``, ``brain``, ``experiment``: training of one fold and of all
* ``results``, ``plots``: WA and UA, tables, the picture of an utterance
* ``compare``, ``report``: many systems on the same folds, the paper's tables
* ``embedded``: a controlled corpus in IEMOCAP's layout, made on the spot
* ``key_attention``: whether attention finds that corpus' key words

Reference: Lee, Yoon, Jung, "Multimodal Speech Emotion Recognition using Cross
Attention with Aligned Audio and Text", Interspeech 2020.
"""
