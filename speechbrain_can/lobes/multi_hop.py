"""Multi-hop attention between frames and words (Yoon et al., 2019).

"Speech emotion recognition using multi-hop attention mechanism", ICASSP 2019;
"Yoon et al." of the paper's Table 2. The original encodes 120-d MFCC (39 with
deltas) and prosody by a BLSTM of 200 units; the sizes here are the paper's.

Authors
 * The speechbrain-can developers 2026
"""

import torch

from speechbrain_can.lobes.bimodal import BimodalNetwork
from speechbrain_can.lobes.classifiers import single_output
from speechbrain_can.lobes.ragged import count_words, final_states, real_steps


class MultiHopAttention(torch.nn.Module):
    """Hops from one modality to the other.

    Hop 1 asks the words with the last state of the audio, hop 2 the frames with
    what hop 1 found, hop 3 the words with what hop 2 found. As in the authors'
    code a query is projected before the dot product. With 256 features and 3
    hops it has 197,376 parameters.

    Arguments
    ---------
    input_size : int
        Features of a frame and of a word.
    hops : int
        1, 2 or 3.

    Raises
    ------
    ValueError
        If there are fewer hops, or more.

    Example
    -------
    >>> attention = MultiHopAttention(input_size=8, hops=3)
    >>> text, audio = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    >>> attention(text, torch.tensor([3, 1]), audio, torch.tensor([5, 4])).shape
    torch.Size([2, 16])
    """

    def __init__(self, input_size, hops=3):
        super().__init__()
        if hops not in (1, 2, 3):
            raise ValueError(f"hops is {hops!r}; choose 1, 2 or 3")
        self.projections = torch.nn.ModuleList(
            torch.nn.Linear(input_size, input_size) for _ in range(hops)
        )
        self.output_size = 2 * input_size

    def forward(self, text, text_counts, audio, audio_counts):
        """Hops.

        Arguments
        ---------
        text, audio : torch.Tensor
            o^T and o^A, each of shape ``[batch, steps, features]``.
        text_counts, audio_counts : torch.Tensor
            Words and frames of each utterance, shape ``[batch]``.

        Returns
        -------
        torch.Tensor
            What the last hop found beside its query: [H1; last audio state],
            [H1; H2] or [H3; H2], shape ``[batch, 2 * features]``.
        """
        sides = [
            (text, real_steps(text_counts)),
            (audio, real_steps(audio_counts)),
        ]
        query, found = None, final_states(audio, audio_counts)
        for hop, projection in enumerate(self.projections):
            hidden, mask = sides[hop % 2]
            query = found
            scores = torch.einsum("bd,bld->bl", projection(query), hidden)
            weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=1)
            found = torch.einsum("bl,bld->bd", weights, hidden)
        # the paper's order of the two; a linear classifier does not mind
        pair = [query, found] if len(self.projections) == 2 else [found, query]
        return torch.cat(pair, dim=-1)


class MultiHopNetwork(BimodalNetwork):
    """Frames and words, each by an encoder of its own, then hops.

    With the paper's parts, 3 hops, 7 classes and V words in the vocabulary it
    has ``300 V + 815,367`` parameters.

    Arguments
    ---------
    text_encoder : torch.nn.Module
        From lists of words to ``[batch, words, features]``.
    audio_encoder : torch.nn.Module
        From ``WordFrames`` to ``[batch, frames, features]``.
    fusion : MultiHopAttention
        From both encodings to ``[batch, 2 * features]``.
    classifier : torch.nn.Module
        From there to logits.

    Example
    -------
    >>> from speechbrain_can.lobes.audio import UtteranceFrameBLSTM
    >>> from speechbrain_can.lobes.ragged import WordFrames
    >>> from speechbrain_can.lobes.text import WordBLSTM, WordEmbedding
    >>> model = MultiHopNetwork(
    ...     text_encoder=WordBLSTM(WordEmbedding(300)),
    ...     audio_encoder=UtteranceFrameBLSTM(),
    ...     fusion=MultiHopAttention(256),
    ...     classifier=torch.nn.Linear(512, 7),
    ... )
    >>> audio = WordFrames(
    ...     frames=torch.randn(9, 40),
    ...     frame_counts=torch.tensor([6, 3]),
    ...     word_counts=torch.tensor([1, 1]),
    ... )
    >>> model([["oh", "really"], ["yes"]], audio).logits["joint"].shape
    torch.Size([2, 7])
    """

    def forward(self, words, audio):
        """Predicts the emotions of a batch.

        Arguments
        ---------
        words : list of list of str
            The words of each utterance.
        audio : WordFrames
            The frames.

        Returns
        -------
        EmotionOutput
            One set of logits.
        """
        hidden = self.audio_encoder(audio)
        fused = self.fusion(
            self.text_encoder(words),
            count_words(words, hidden.device),
            hidden,
            audio.utterance_frame_counts(),
        )
        return single_output(self.classifier(fused))
