"""Emotions of one's own recordings, from a model folder.

Authors
 * The speechbrain-can developers 2026
"""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import torchaudio

from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.fetching import FetchConfig
from speechbrain_can.alignment.finding import FoundWords, find_words
from speechbrain_can.alignment.pauses import speech_spans
from speechbrain_can.alignment.words import AlignmentError
from speechbrain_can.audio import read_waveform
from speechbrain_can.features.normalization import standardize
from speechbrain_can.features.store import describe
from speechbrain_can.files import InputError
from speechbrain_can.hparams import SETTINGS
from speechbrain_can.hub import download, located, split_revision
from speechbrain_can.inference.packed import packaged
from speechbrain_can.inference.prediction import (
    AttendedWord,
    Prediction,
    Timeline,
)
from speechbrain_can.inference.trust import building, check_model
from speechbrain_can.lobes.losses import decide
from speechbrain_can.lobes.ragged import WordFrames
from speechbrain_can.training.parameters import PACKED

SPEECH_RATE = 16000  # Hz, Silero's


class EmotionRecognizer(Pretrained):
    """Recognises the emotion of speech from its audio and words.

    A ``train.py`` writes a model folder for each fold, ``fold_<number>/model``,
    which ``from_hparams`` loads, as it loads one from the Hugging Face hub.

    What is said can be given with its times, given as a transcript, which the
    model's aligner places, or not at all: then its recogniser hears it. The
    model folder names both, and ``overrides`` of ``from_hparams`` replace them:
    ``{"whisper": "small"}``.

    Arguments
    ---------
    *args, **kwargs
        As for ``Pretrained``.

    Example
    -------
    >>> recognizer = EmotionRecognizer.from_hparams(  # doctest: +SKIP
    ...     source="results/can/1234/fold_0/model"
    ... )
    >>> prediction = recognizer.classify_file(  # doctest: +SKIP
    ...     "speech.wav", transcript="I like apples"
    ... )
    >>> prediction.label, prediction.probabilities["hap"]  # doctest: +SKIP
    ('hap', 0.71)
    """

    HPARAMS_NEEDED = [
        "compute_features",
        "segment",
        "label_encoder",
        "temperature",
        "aligner",
        "transcriber",
    ]
    MODULES_NEEDED = ["normalize", "model"]

    @classmethod
    def from_hparams(
        cls,
        source,
        hparams_file=SETTINGS,
        run_code_of_the_model_folder=False,
        **kwargs,
    ):
        """Loads a model folder, see ``Pretrained.from_hparams``.

        Arguments
        ---------
        source : str or Path
            A folder, a name on the Hugging Face hub, ``name@revision``, or a model
            that comes with the package, such as ``emodb-whisper-base``.
        hparams_file : str
            Its settings.
        run_code_of_the_model_folder : bool
            Whether the settings may call whatever they like. Only for who made
            them, or trusts who did.
        **kwargs : dict
            As for ``Pretrained.from_hparams``: ``overrides``, ``savedir``,
            ``run_opts``.

        Returns
        -------
        EmotionRecognizer
            The model.

        Raises
        ------
        UntrustedError
            If the settings would do more than build a model.
        """
        given = {
            name: kwargs[name]
            for name in ("savedir", "local_strategy", "fetch_config")
            if name in kwargs
        }
        source = _settled(packaged(source), given.get("fetch_config"))
        trusted = run_code_of_the_model_folder
        if not trusted:
            check_model(source, hparams_file, **given)
        with nullcontext() if trusted else building(source):
            recognizer = super().from_hparams(source, hparams_file, **kwargs)
            classes = recognizer.classes
        expected = getattr(recognizer.hparams, "classes", None)
        if expected not in (None, len(classes)):
            raise InputError(
                f"{source}: label_encoder.ckpt names {len(classes)} classes, and "
                f"the model has {expected}: it is damaged"
            )
        return recognizer

    @property
    def sample_rate(self):
        """Hz of the audio that the model hears; files may have another."""
        return self.hparams.compute_features.sample_rate

    @property
    def classes(self):
        """list of str : the emotions, in the order of the logits."""
        encoder = self.hparams.label_encoder
        return [encoder.ind2lab[i] for i in range(len(encoder))]

    @property
    def normalize_by(self):
        """str or None : whose recordings are normalised together."""
        return getattr(self.hparams, "normalize_by", None)

    def classify_file(self, path, transcript=None, alignment=None):
        """The emotion of one utterance in a file.

        Arguments
        ---------
        path : str or Path
            Audio at any rate; channels are averaged.
        transcript : str or None
            What is said.
        alignment : str, Path, list of Word or None
            When it is said: a file that ``read_alignment`` reads, or words.

        Returns
        -------
        Prediction
            A record that also unpacks as SpeechBrain's classifiers do.

        Raises
        ------
        AudioError
            If the file is no audio or silent.
        AlignmentError
            If words and audio do not fit; the message says why.
        """
        waveform = read_waveform(path, self.sample_rate)
        found = self.find_words(waveform, transcript, alignment)
        return self._classify([waveform], [found], str(path))[0]

    def classify_batch(
        self,
        wavs,
        wav_lens=None,
        transcripts=None,
        alignments=None,
        speakers=None,
    ):
        """The emotions of a batch of waveforms, each as if it were alone.

        Only a model that normalises the recordings of each speaker
        (``normalize_by`` in its settings) hears them together: it needs
        ``speakers``, and as many recordings of each as there are.

        Arguments
        ---------
        wavs : torch.Tensor
            Shape ``[batch, samples]``, at ``sample_rate`` Hz.
        wav_lens : torch.Tensor or None
            Lengths relative to the longest, shape ``[batch]``.
        transcripts : list of str or None
            What is said in each.
        alignments : list or None
            When it is said, as for ``classify_file``.
        speakers : list of str or None
            Who says it.

        Returns
        -------
        list of Prediction
            One an utterance.

        Raises
        ------
        AlignmentError
            If the words and the audio of one do not fit; the message has its
            number, from 0.
        """
        if wav_lens is None:
            wav_lens = torch.ones(len(wavs))
        for given in (wav_lens, transcripts, alignments, speakers):
            if given is not None and len(given) != len(wavs):
                raise ValueError(
                    f"{len(given)} lengths, transcripts, alignments or speakers "
                    f"for {len(wavs)} waveforms"
                )
        lengths = torch.round(wav_lens * wavs.shape[1]).long().tolist()
        waveforms = [wav[:n].cpu() for wav, n in zip(wavs, lengths)]
        none = [None] * len(waveforms)
        found = []
        for number, (waveform, transcript, alignment) in enumerate(
            zip(waveforms, transcripts or none, alignments or none)
        ):
            try:
                found.append(self.find_words(waveform, transcript, alignment))
            except AlignmentError as error:
                raise AlignmentError(f"utterance {number}: {error}") from error
        return self._classify(waveforms, found, speakers=speakers)

    def timeline(self, path, transcript=None, alignment=None, longest=15.0):
        """The emotions of a long recording, cut into utterances at its pauses.

        Arguments
        ---------
        path : str or Path
            Audio at any rate; channels are averaged.
        transcript : str or None
            What is said in all of it.
        alignment : str, Path, list of Word or None
            When it is said, from the start of the recording.
        longest : float
            Seconds of an utterance at most.

        Returns
        -------
        Timeline
            Predictions, and the speech that has none with the reason.

        Raises
        ------
        AudioError
            If the file is no audio or silent.
        AlignmentError
            If a given transcript or alignment does not fit the audio.
        """
        waveform = read_waveform(path, self.sample_rate)
        speech = torchaudio.functional.resample(
            waveform, self.sample_rate, SPEECH_RATE
        )
        spans = speech_spans(speech, SPEECH_RATE, longest)
        known = {}
        if transcript is not None or alignment is not None:
            whole = self.find_words(waveform, transcript, alignment)
            spans, known = _shared_out(whole, spans)
        predictions, skipped = [], []
        for start, end in spans:
            first, last = (round(t * self.sample_rate) for t in (start, end))
            utterance = waveform[first:last]
            try:
                found = known.get(start) or self.find_words(utterance)
                (prediction,) = self._classify([utterance], [found], str(path))
            except AlignmentError as error:
                skipped.append((start, end, str(error)))
            else:
                predictions.append(_later(prediction, start))
        return Timeline(predictions, skipped)

    def find_words(self, waveform, transcript=None, alignment=None):
        """``FoundWords`` of a waveform ``[samples]`` at ``sample_rate`` Hz."""
        return find_words(
            waveform,
            self.sample_rate,
            self.hparams.aligner,
            self.hparams.transcriber,
            transcript,
            alignment,
        )

    @torch.no_grad()
    def _classify(self, waveforms, found, path="", speakers=None):
        """Predictions of waveforms at ``sample_rate`` Hz, in one batch."""
        if self.normalize_by and speakers is None:
            raise InputError(
                f"this model normalises the recordings of each {self.normalize_by} "
                "together: give them all to classify_batch, with speakers"
            )
        tiled = [each.tiled() for each in found]
        frames, counts = zip(
            *describe(
                self.hparams.compute_features,
                waveforms,
                tiled,
                self.hparams.segment,
            )
        )
        if self.normalize_by:
            frames = _normalized(frames, speakers)
        audio = WordFrames(
            frames=self.mods.normalize(torch.cat(frames).to(self.device)),
            frame_counts=torch.cat(counts).to(self.device),
            word_counts=torch.tensor([len(c) for c in counts]).to(self.device),
        )
        texts = [[word.text for word in each] for each in tiled]
        output = self.mods.model(texts, audio)
        log_probabilities = decide(output).float() / self.hparams.temperature
        probabilities = log_probabilities.softmax(dim=1)
        if not probabilities.isfinite().all():
            raise InputError(
                f"{path or 'a batch'}: what the model says is no number; its "
                "parameters, or its temperature, are none"
            )
        decisions = {
            name: logits.float().softmax(dim=1).tolist()
            for name, logits in output.logits.items()
        }
        classes = self.classes
        return [
            Prediction(
                path=path,
                start=0.0,
                end=len(waveform) / self.sample_rate,
                label=classes[max(range(len(classes)), key=row.__getitem__)],
                probabilities=dict(zip(classes, row)),
                decisions={
                    name: dict(zip(classes, rows[i]))
                    for name, rows in decisions.items()
                },
                words=_attended(found[i].words, output.attention, i),
                aligned_by=found[i].aligned_by,
            )
            for i, (waveform, row) in enumerate(
                zip(waveforms, probabilities.tolist())
            )
        ]


def _settled(source, fetch_config):
    """The folder of one commit: what is checked is what is loaded.

    A folder, and what has an address of its own, are as they are.
    """
    source = str(source)
    if Path(source).is_dir() or "://" in source:
        return source
    config = fetch_config or FetchConfig()
    name, revision = split_revision(source)
    return located(
        f"{name}@{revision or config.revision or 'main'}",
        config.huggingface_cache_dir,
        partial(
            download,
            token=config.token,
            local_files_only=not config.allow_network,
        ),
    )


def _normalized(frames, groups):
    """Frames of utterances, normalised by those of their group."""
    statistics = {}
    for group in set(groups):
        own = torch.cat([f for f, g in zip(frames, groups) if g == group])
        statistics[group] = own.mean(0), own.std(0, unbiased=False)
    return [standardize(f, *statistics[g]) for f, g in zip(frames, groups)]


def load_recognizer(source, whisper=None, device="cpu"):
    """An ``EmotionRecognizer`` from a model folder or the Hugging Face hub.

    ``whisper`` replaces the model's recogniser by another Whisper. Raises
    ``InputError`` if a folder is no model folder.
    """
    source = packaged(source)
    folder = Path(source)
    if not folder.exists() and len(folder.parts) != 2:
        raise InputError(
            f"{source}: no such folder, and not a name on the Hugging Face hub, "
            "such as user/model"
        )
    if folder.is_dir() and not (folder / SETTINGS).exists():
        raise InputError(f"{folder} is no model folder: it has no {SETTINGS}")
    networks = [folder / name for name in (PACKED, "model.ckpt")]
    if folder.is_dir() and not any(path.exists() for path in networks):
        hint = (
            ", its sub-folder model is" if (folder / "model").is_dir() else ""
        )
        raise InputError(f"{folder} is no model folder{hint}")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {device} cannot be used: {reason}") from error
    overrides = {}
    if whisper is not None:
        settings = folder / SETTINGS
        if settings.exists() and "\nwhisper:" not in settings.read_text(
            "utf-8"
        ):
            raise InputError(
                f"{folder} has no Whisper to replace by {whisper}: it takes "
                "alignments alone"
            )
        overrides["whisper"] = whisper
    return EmotionRecognizer.from_hparams(
        source=str(source), overrides=overrides, run_opts={"device": device}
    )


def _attended(words, attention, i):
    """Words of utterance ``i`` with the weights of each head."""
    weights = {
        modality: weights[i, : len(words)].float().tolist()
        for modality, weights in (
            attention._asdict() if attention is not None else {}
        ).items()
        # where a system attends to frames, no weight is a word's
        if weights is not None
    }
    return [
        AttendedWord(
            text=word.text,
            start=word.start,
            end=word.end,
            score=word.score,
            attention={
                modality: tuple(rows[number])
                for modality, rows in weights.items()
            },
        )
        for number, word in enumerate(words)
    ]


def _shared_out(whole, spans):
    """Known words shared out to stretches of speech, each to the nearest.

    Returns the stretches, widened to hold their words, and the words of each
    by its start, with times from there. Speech without a word is left out: the
    transcript is what was said.
    """
    middles = [(word.start + word.end) / 2 for word in whole.words]
    # where nobody speaks by what is heard, there is one stretch
    spans = spans or [(0.0, whole.end)]
    owners = [
        min(
            range(len(spans)),
            key=lambda i: max(spans[i][0] - middle, middle - spans[i][1]),
        )
        for middle in middles
    ]
    widened, known = [], {}
    for i, (start, end) in enumerate(spans):
        words = [w for w, owner in zip(whole.words, owners) if owner == i]
        if not words:
            continue
        # not over its neighbour, whose words are its own
        before = widened[-1][1] if widened else 0.0
        start = max(before, min(start, words[0].start))
        end = max(end, words[-1].end)
        widened.append((start, end))
        known[start] = FoundWords(
            [
                replace(
                    word,
                    start=max(0.0, word.start - start),
                    end=word.end - start,
                )
                for word in words
            ],
            end - start,
            whole.aligned_by,
        )
    return widened, known


def _later(prediction, seconds):
    """The same prediction from another start on."""
    return replace(
        prediction,
        start=prediction.start + seconds,
        end=prediction.end + seconds,
        words=[
            replace(
                word,
                start=round(word.start + seconds, 6),
                end=round(word.end + seconds, 6),
            )
            for word in prediction.words
        ],
    )
