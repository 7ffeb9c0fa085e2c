"""SpeechBrain plugin for emotion recognition from word-aligned audio and text.

The package implements the Cross Attention Network (CAN). Data flows in one
direction through its subpackages::

    corpus -> manifest -> segments -> features -> batch -> lobes -> losses
    -> runs -> report

* ``io``: audio, tables and other files; errors name the file
* ``settings``: hparams files, their bases and overrides; validation
* ``alignment``: word timings from files, aligners and speech recognizers
* ``corpus``: manifests, preparation, protocols, leakage
* ``encoders``: pretrained encoders and CTC models of other libraries
* ``features``: word segments, acoustic features, the feature cache, augmentation
* ``lobes``: model parts and losses, selected in YAML
* ``training``: datasets, the Brain, checkpoints, folds
* ``runs``: files of a run, predictions, summaries, ensembles
* ``metrics``: metrics, calibration, confidence intervals, significance tests
* ``model_folder``: trained models as files; checks of untrusted models
* ``experiments``: comparison of systems, hyperparameter search, Ray
* ``inference``: predictions for recordings, from a model folder
* ``controlled``: generated corpora with known emotional key words
* ``report``: tables, figures and HTML pages
* ``commands``: ``speechbrain-can``

Reference: Lee, Yoon, Jung, "Multimodal Speech Emotion Recognition using Cross
Attention with Aligned Audio and Text", Interspeech 2020.
"""
