"""SpeechBrain plugin for emotion recognition from word-aligned audio and text.

The package implements the Cross Attention Network (CAN). Data flows in one
direction through its subpackages::

    corpus -> manifest -> segments -> features -> batch -> lobes -> losses
    -> results -> report

* ``files``, ``audio``: file access; errors name the file
* ``hparams``: hparams files, their bases and overrides
* ``alignment``: word timings from files, aligners and speech recognizers
* ``corpus``: manifests, protocols, preparation, leakage
* ``features``: word segments, acoustic features, the feature cache
* ``lobes``: model parts and losses, selected in YAML
* ``integrations``: pretrained encoders and CTC models of other libraries
* ``training``: datasets, the Brain, checkpoints, folds, parallel runs
* ``results``: metrics, significance tests, tables, figures
* ``inference``: predictions for recordings, from a model folder
* ``controlled``: generated corpora with known emotional key words
* ``reporting``: HTML reports of runs
* ``commands``: ``speechbrain-can``

Reference: Lee, Yoon, Jung, "Multimodal Speech Emotion Recognition using Cross
Attention with Aligned Audio and Text", Interspeech 2020.
"""
