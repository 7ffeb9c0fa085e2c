"""Cross Attention Network: a SpeechBrain plugin for emotion recognition from
audio and text that are aligned word by word.

Data flows one way through the rooms::

    corpus -> manifest -> segments -> features -> batch -> lobes -> losses
    -> results -> report

* ``files``, ``audio``: reading and writing, with errors that name the file
* ``hparams``: the hparams file, its base, overrides, the folder bound to it
* ``alignment``: words with their times: read, aligned or recognised
* ``corpus``: the manifest, protocols, preparation, leaks
* ``features``: segments of words, MFCC and others, the store
* ``lobes``: the models, from parts that a YAML file names, and their losses
* ``integrations``: pretrained encoders and CTC models of other libraries
* ``training``: datasets, the Brain, checkpoints, folds, runs side by side
* ``results``: metrics, tables, significance, pictures, the page
* ``inference``: emotions of one's own recordings, from a model folder
* ``controlled``: a corpus made on the spot, whose key words are known
* ``reporting``: pages of what runs found
* ``commands``: ``speechbrain-can``

Reference: Lee, Yoon, Jung, "Multimodal Speech Emotion Recognition using Cross
Attention with Aligned Audio and Text", Interspeech 2020.
"""
