"""What every network of text and audio is made of.

Authors
 * The speechbrain-can developers 2026
"""

import torch


class BimodalNetwork(torch.nn.Module):
    """Four parts, named in YAML; each network says how it joins them.

    Arguments
    ---------
    text_encoder : torch.nn.Module
        From lists of words to ``[batch, words, features]``.
    audio_encoder : torch.nn.Module
        From ``WordFrames`` to ``[batch, steps, features]``.
    fusion : torch.nn.Module
        From both encodings to what the classifier takes.
    classifier : torch.nn.Module
        From there to predictions.
    """

    def __init__(self, text_encoder, audio_encoder, fusion, classifier):
        super().__init__()
        self.text_encoder = text_encoder
        self.audio_encoder = audio_encoder
        self.fusion = fusion
        self.classifier = classifier

    def fit_vocabulary(self, train_words, other_words=()):
        """See ``WordEmbedding.fit_vocabulary``."""
        self.text_encoder.fit_vocabulary(train_words, other_words)
