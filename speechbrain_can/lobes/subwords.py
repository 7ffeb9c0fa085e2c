"""Word vectors from subwords: SentencePiece, trained on the training text."""

from pathlib import Path

import torch
from sentencepiece import SentencePieceProcessor

from speechbrain.tokenizers.SentencePiece import SentencePiece
from speechbrain.utils.distributed import run_on_main
from speechbrain_can.lobes.pooling import MeanPooling


class SubwordEmbedding(torch.nn.Module):
    """Trainable vectors of SentencePiece pieces, pooled to words.

    A word that training did not have is made of pieces that it had; only a
    character that it did not have is unknown. It stands where ``WordEmbedding``
    does and needs no word vectors in any language. It has ``vocab_size *
    embedding_size`` parameters.

    Arguments
    ---------
    model_folder : str
        Where SpeechBrain's tokenizer is trained, once a fold.
    vocab_size : int
        Number of pieces.
    embedding_size : int
        Features of a word.
    model_type : str
        ``unigram``, ``bpe`` or ``char``, of which the last leaves rows unused
        beyond the characters that there are.

    Example
    -------
    >>> import tempfile
    >>> embedding = SubwordEmbedding(
    ...     tempfile.mkdtemp(), vocab_size=7, embedding_size=5
    ... )
    >>> embedding.fit_vocabulary(["ab", "abc", "bc", "cab"])
    >>> embedding([["ab", "cc"], ["cabbac"]]).shape
    torch.Size([3, 5])
    """

    def __init__(
        self,
        model_folder,
        vocab_size=500,
        embedding_size=300,
        model_type="unigram",
    ):
        super().__init__()
        self.model_folder = Path(model_folder)
        self.vocab_size = vocab_size
        self.model_type = model_type
        self.output_size = embedding_size
        self.weight = torch.nn.Parameter(
            torch.empty(vocab_size, embedding_size).normal_(std=0.1)
        )
        self.pooling = MeanPooling(embedding_size)
        self.tokenizer = None

    def fit_vocabulary(self, train_words, other_words=()):
        """Trains the tokenizer.

        Arguments
        ---------
        train_words : iterable of str
            Running words of the training set.
        other_words : iterable of str
            Not used: nothing is learnt from them.

        Raises
        ------
        ValueError
            If the text has fewer different pieces than ``vocab_size``, or more
            characters.
        """
        model = run_on_main(self._train_tokenizer, args=[train_words])
        self.tokenizer = SentencePieceProcessor(model_proto=model)

    def _train_tokenizer(self, train_words):
        text = self.model_folder / "train.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("\n".join(train_words), encoding="utf-8")
        # SpeechBrain would take one that is there, of whatever text.
        for file in self.model_folder.glob("*.model"):
            file.unlink()
        try:
            tokenizer = SentencePiece(
                str(self.model_folder),
                self.vocab_size,
                text_file=text,
                model_type=self.model_type,
            )
        except RuntimeError as error:
            raise ValueError(
                f"SentencePiece cannot make {self.vocab_size} pieces of the "
                f"training text; set another --vocab_size ({error})"
            ) from error
        n_pieces = tokenizer.sp.get_piece_size()
        if n_pieces > self.vocab_size:
            raise ValueError(
                f"the characters of the training text are {n_pieces} pieces; "
                f"set --vocab_size={n_pieces}"
            )
        return tokenizer.sp.serialized_model_proto()

    def forward(self, words):
        """Vectors of words.

        Arguments
        ---------
        words : list of list of str
            The words of each utterance.

        Returns
        -------
        torch.Tensor
            Flat word vectors, shape ``[words of the batch, embedding_size]``.
        """
        pieces = self.tokenizer.encode(
            [word for utterance in words for word in utterance]
        )
        # a word of nothing but white space has no piece: it is unknown
        pieces = [ids or [self.tokenizer.unk_id()] for ids in pieces]
        device = self.weight.device
        rows = torch.tensor([i for ids in pieces for i in ids], device=device)
        counts = torch.tensor([len(ids) for ids in pieces], device=device)
        return self.pooling(
            torch.nn.functional.embedding(rows, self.weight), counts
        )

    def get_extra_state(self):
        """The tokenizer, so that a checkpoint is complete in itself."""
        model = self.tokenizer and self.tokenizer.serialized_model_proto()
        return {"tokenizer": model}

    def set_extra_state(self, state):
        """Restores the tokenizer."""
        if state["tokenizer"] is not None:
            self.tokenizer = SentencePieceProcessor(
                model_proto=state["tokenizer"]
            )
