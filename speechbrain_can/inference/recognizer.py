"""Emotion recognition with a trained model folder."""

import os
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Iterable, Iterator, Sequence

import torch

from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.fetching import FetchConfig
from speechbrain_can.alignment.pipeline import (
    Alignment,
    AlignmentFile,
    FoundWords,
    find_words,
)
from speechbrain_can.alignment.words import AlignmentError
from speechbrain_can.encoders.hub import download, located, split_revision
from speechbrain_can.features.extraction import extract_features
from speechbrain_can.features.normalization import (
    SpeakerProfile,
    mean_frames,
    shifted,
    standardize,
)
from speechbrain_can.features.quality import describe_unusual, measure
from speechbrain_can.inference.prediction import (
    AttendedWord,
    Prediction,
    Timeline,
)
from speechbrain_can.inference.timeline import (
    EncodedUtterance,
    SplitRecording,
    frames_of,
    split_recording,
)
from speechbrain_can.io.audio import read_waveform
from speechbrain_can.io.files import InputError
from speechbrain_can.lobes.attention import Attention
from speechbrain_can.lobes.classifiers import EmotionOutput
from speechbrain_can.lobes.dimensions import DimensionOutput, decide_dimensions
from speechbrain_can.lobes.losses import decide
from speechbrain_can.lobes.text import vocabulary_of
from speechbrain_can.metrics.conformal import check_confidence, emotion_sets
from speechbrain_can.model_folder.read import packaged, read_model
from speechbrain_can.model_folder.statistics import ModelStatistics
from speechbrain_can.settings.hparams import SETTINGS
from speechbrain_can.settings.run_options import check_device


class EmotionRecognizer(Pretrained):
    """Recognize emotions from the audio and the words of speech.

    ``train.py`` writes a model folder for each fold, ``fold_<number>/model``.
    ``from_hparams`` loads it, or a model from the Hugging Face hub.

    Word timings can be passed directly. A transcript is aligned by the model's
    aligner; without a transcript, the model's speech recognizer transcribes the
    audio. The model folder defines both parts; ``overrides`` of ``from_hparams``
    replace them, such as ``{"whisper": "small"}``.

    Arguments
    ---------
    *args, **kwargs
        Arguments of ``Pretrained``.

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
        source: str | Path,
        hparams_file: str = SETTINGS,
        trust_model_code: bool = False,
        overrides: dict | str | None = None,
        fetch_config: FetchConfig | None = None,
        run_opts: dict | None = None,
        **kwargs: Any,
    ) -> "EmotionRecognizer":
        """Load a model folder, which does not need to be trusted.

        Arguments
        ---------
        source : str or Path
            A folder, a name on the Hugging Face hub (optionally
            ``name@revision``), or a packaged model such as
            ``emodb-whisper-base``. A text with a separator, such as
            ``./emodb-whisper-base``, is never a packaged model.
        hparams_file : str
            Name of the settings file, with ``trust_model_code``.
        trust_model_code : bool
            Whether SpeechBrain's loader reads the settings, which can then call
            arbitrary functions. Only for models whose author you trust.
        overrides : dict, str or None
            Values that replace those of the settings, such as
            ``{"whisper": "small"}``.
        fetch_config : FetchConfig or None
            Options of downloads.
        run_opts : dict or None
            Options such as ``{"device": "cuda:0"}``.
        **kwargs : dict
            With ``trust_model_code``, other arguments of
            ``Pretrained.from_hparams``. Without it, ``savedir`` and
            ``local_strategy`` have no effect.

        Returns
        -------
        EmotionRecognizer
            The model.

        Raises
        ------
        UntrustedError
            If the folder contains more than a model of registered parts.
        InputError
            If a file is missing, damaged, or was written by an earlier version.
        SettingsError
            If the device of ``run_opts`` cannot be used.
        """
        device = (run_opts or {}).get("device")
        if device is not None:
            check_device(device)
        source = _settled(packaged(source), fetch_config)
        if trust_model_code:
            return super().from_hparams(
                source,
                hparams_file,
                overrides=overrides or {},
                fetch_config=fetch_config or FetchConfig(),
                run_opts=run_opts,
                **kwargs,
            )
        unknown = kwargs.keys() - {"savedir", "local_strategy"}
        if unknown:
            raise TypeError(
                f"unexpected arguments: {', '.join(sorted(unknown))}"
            )
        model = read_model(source, overrides)
        _check_encoder(model)
        return cls(modules=model["modules"], hparams=model, run_opts=run_opts)

    @property
    def sample_rate(self) -> int:
        """Sample rate of the model in Hz; files are resampled to it."""
        return self.hparams.compute_features.sample_rate

    @property
    def classes(self) -> list[str]:
        """Emotions in the order of the logits."""
        encoder = self.hparams.label_encoder
        return [encoder.ind2lab[i] for i in range(len(encoder))]

    @property
    def dimensions(self) -> list[str]:
        """Emotional dimensions that the model predicts; empty if it has none."""
        return getattr(self.hparams, "dimensions", None) or []

    @property
    def normalize_by(self) -> str | None:
        """Column whose groups, such as speakers, are normalized together."""
        return getattr(self.hparams, "normalize_by", None)

    def classify_file(
        self,
        path: str | Path,
        transcript: str | None = None,
        alignment: Alignment | None = None,
        channel: str | int | None = None,
        speaker: str | None = None,
        language: str | None = None,
    ) -> Prediction:
        """Predict the emotion of an audio file that contains one utterance.

        Arguments
        ---------
        path : str or Path
            Audio at any sample rate.
        transcript : str or None
            The spoken words.
        alignment : str, Path, AlignmentFile, list of Word or None
            Word timings, or a file that ``read_alignment`` reads.
        channel : str, int or None
            ``left``, ``right`` or a number; None for the mean of the channels.
        speaker : str or None
            Name of a speaker who was enrolled with ``enroll``.
        language : str or None
            Language code of the speech, such as ``de``. Parts of the model that do
            not support it are refused; other differences are adjustments.

        Returns
        -------
        Prediction
            Record that also unpacks like the result of SpeechBrain's classifiers.

        Raises
        ------
        AudioError
            If the file is not audio or is silent.
        AlignmentError
            If words and audio do not match; the message states the reason.
        InputError
            If ``path`` is not a path, or the speaker was not enrolled.
        """
        encoded = self.encode_file(
            path, transcript, alignment, channel, language
        )
        return self.classify_encoded([encoded], [speaker])[0]

    def encode_file(
        self,
        path: str | Path,
        transcript: str | None = None,
        alignment: Alignment | None = None,
        channel: str | int | None = None,
        language: str | None = None,
    ) -> EncodedUtterance:
        """Compute the features of an audio file; see ``classify_file``."""
        waveform = self._waveform(path, channel)
        alignment = _alignment_of(path, alignment)
        found = self.find_words(waveform, transcript, alignment, language)
        return self.encode([waveform], [found], path=str(path))[0]

    def enroll(
        self,
        name: str,
        recordings: Iterable[str | Path | EncodedUtterance],
    ) -> SpeakerProfile:
        """Adapt to a speaker by recordings without labels.

        Afterwards, ``classify_file(..., speaker=name)`` predicts relative to how the
        speaker usually sounds. Enrolling a speaker again adds recordings.

        Arguments
        ---------
        name : str
            Name of the speaker.
        recordings : list of str, Path or EncodedUtterance
            Audio files, which are transcribed, or results of ``encode_file``, which
            accepts transcripts and alignments.

        Returns
        -------
        SpeakerProfile
            Statistics of the speaker, also in ``profiles``. ``save_profile`` writes
            them to a file.

        Raises
        ------
        InputError
            If the model does not adapt to speakers.
        """
        if not self.adapts:
            raise InputError(
                "this model does not adapt to speakers. Train one with "
                "SpeakerAdaptation, such as can_best.yaml."
            )
        encoded = [
            each
            if isinstance(each, EncodedUtterance)
            else self.encode_file(each)
            for each in recordings
        ]
        for each in encoded:
            self.add_to_profile(self.profiles, name, self.evidence([each]))
        return self.profiles[name]

    def classify_batch(
        self,
        wavs: torch.Tensor,
        wav_lens: torch.Tensor | None = None,
        transcripts: list[str] | None = None,
        alignments: list | None = None,
        speakers: list[str] | None = None,
    ) -> list[Prediction]:
        """Predict the emotions of a batch of waveforms.

        Without ``speakers``, predictions do not depend on the other waveforms of the
        batch. A model that adapts to speakers adapts each waveform to the other
        waveforms and to the profile of its speaker. Models that normalize per
        speaker (``normalize_by``) need ``speakers`` and all available recordings of
        each speaker.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms at ``sample_rate`` Hz, ``[batch, samples]``.
        wav_lens : torch.Tensor or None
            Lengths relative to the longest, ``[batch]``.
        transcripts : list of str or None
            The spoken words of each waveform.
        alignments : list or None
            Word timings of each waveform, as for ``classify_file``.
        speakers : list of str or None, or None
            Speaker of each waveform; None if unknown.

        Returns
        -------
        list of Prediction
            One per waveform.

        Raises
        ------
        AlignmentError
            If words and audio of an utterance do not match; the message contains
            its index.
        """
        if wav_lens is None:
            wav_lens = torch.ones(len(wavs))
        for given in (wav_lens, transcripts, alignments, speakers):
            if given is not None and len(given) != len(wavs):
                raise ValueError(
                    f"got {len(given)} lengths, transcripts, alignments or "
                    f"speakers for {len(wavs)} waveforms"
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
        encoded = self.encode(waveforms, found, speakers)
        return self.classify_together(encoded, speakers or none)

    def timeline(
        self,
        path: str | Path,
        transcript: str | None = None,
        alignment: Alignment | None = None,
        longest: float = 15.0,
        channel: str | int | None = None,
        speaker: str | None = None,
        language: str | None = None,
    ) -> Timeline:
        """Split a long recording at pauses and predict each utterance.

        Arguments
        ---------
        path : str or Path
            Audio at any sample rate.
        transcript : str or None
            The words of the whole recording.
        alignment : str, Path, AlignmentFile, list of Word or None
            Word timings, relative to the start of the recording.
        longest : float
            Maximum length of an utterance in seconds.
        channel : str, int or None
            ``left``, ``right`` or a number; None for the mean of the channels.
        speaker : str or None
            Name of the only speaker, to whom a model that adapts is adapted.
        language : str or None
            See ``classify_file``.

        Returns
        -------
        Timeline
            Predictions, and the speech without a prediction with reasons.

        Raises
        ------
        AudioError
            If the file is not audio or is silent.
        AlignmentError
            If the transcript or alignment does not match the audio.
        """
        split = self.encode_timeline(
            path, transcript, alignment, longest, channel, language
        )
        names = [speaker] * len(split.utterances)
        return Timeline(
            self.classify_together(split.utterances, names),
            split.skipped,
            split.adjustments,
        )

    def encode_timeline(
        self,
        path: str | Path,
        transcript: str | None = None,
        alignment: Alignment | None = None,
        longest: float = 15.0,
        channel: str | int | None = None,
        language: str | None = None,
    ) -> SplitRecording:
        """Compute the features of the utterances of a recording; see ``timeline``."""
        waveform = self._waveform(path, channel)
        alignment = _alignment_of(path, alignment)
        whole = None
        if transcript is not None or alignment is not None:
            whole = self.find_words(waveform, transcript, alignment, language)

        def encode(utterance, found):
            found = found or self.find_words(utterance, language=language)
            return self.encode([utterance], [found], path=str(path))[0]

        return split_recording(
            waveform, self.sample_rate, encode, whole, longest
        )

    def _waveform(
        self, path: str | Path, channel: str | int | None
    ) -> torch.Tensor:
        """Load audio at the sample rate of the model."""
        if not isinstance(path, (str, Path)):
            raise InputError(
                f"expected the path of an audio file, got {type(path).__name__}. "
                "Pass waveforms as a tensor [batch, samples] to classify_batch, and "
                "save other objects to a file."
            )
        return read_waveform(path, self.sample_rate, channel)

    def find_words(
        self,
        waveform: torch.Tensor,
        transcript: str | None = None,
        alignment: Alignment | None = None,
        language: str | None = None,
    ) -> FoundWords:
        """Return the words of a waveform ``[samples]`` at ``sample_rate`` Hz."""
        trained = getattr(self.hparams, "language", None)
        with applied("the alignment of words"):
            found = find_words(
                waveform,
                self.sample_rate,
                self.hparams.aligner,
                self.hparams.transcriber,
                transcript,
                alignment,
                language or trained,
            )
        if language is None or trained in (None, language):
            return found
        note = (
            f"the model was trained for the language {trained!r}, but the recording "
            f"is in {language!r}"
        )
        return found._replace(adjustments=(*found.adjustments, note))

    @property
    def adapts(self) -> bool:
        """True if the model adapts to speakers."""
        return getattr(self.mods.normalize, "adapts", False)

    @property
    def statistics(self) -> ModelStatistics:
        """Statistics of the validation and the training set; empty if unknown."""
        return getattr(self.hparams, "statistics", None) or ModelStatistics()

    @property
    def confidence(self) -> float | None:
        """Confidence of ``Prediction.emotions``, such as 0.9; None for no such sets.

        Setting it raises ``InputError`` if the validation set of the model does not
        support it.
        """
        return getattr(self, "_confidence", None)

    @confidence.setter
    def confidence(self, value: float | None) -> None:
        if value is not None:
            if not any(self.statistics.conformal.values()):
                raise InputError(
                    "this model has no held-out scores for a confidence. Train it "
                    "again with this version."
                )
            check_confidence(self.statistics.conformal, value)
        self._confidence = value

    @property
    def profiles(self) -> dict[str, SpeakerProfile]:
        """Enrolled speakers by name."""
        if not hasattr(self, "_profiles"):
            self._profiles = {}
        return self._profiles

    def encode(
        self,
        waveforms: list[torch.Tensor],
        found: list[FoundWords],
        speakers: list[str] | None = None,
        path: str = "",
    ) -> list[EncodedUtterance]:
        """Compute the features of waveforms at ``sample_rate`` Hz.

        ``speakers`` are those of the waveforms, for ``normalize_by``.
        """
        if self.normalize_by and speakers is None:
            raise InputError(
                "this model normalizes the features of each "
                f"{self.normalize_by}. Pass all recordings of a "
                f"{self.normalize_by} to classify_batch, with speakers."
            )
        with applied(path or "a batch"):
            frames, counts = zip(
                *extract_features(
                    self.hparams.compute_features,
                    waveforms,
                    [each.tiled() for each in found],
                    self.hparams.segment,
                    getattr(self.hparams, "conditioning", None),
                )
            )
        if self.normalize_by:
            frames = _normalized(frames, speakers)
        return [
            EncodedUtterance(
                path,
                len(waveform) / self.sample_rate,
                *each,
                warnings=self._unusual(waveform, each[0]),
            )
            for waveform, *each in zip(waveforms, found, frames, counts)
        ]

    def _unusual(
        self, waveform: torch.Tensor, found: FoundWords
    ) -> tuple[str, ...]:
        """Return warnings about measures outside the range of the training set."""
        ranges = self.statistics.ranges
        if not ranges:
            return ()
        words = [word.text for word in found.words]
        measures = measure(waveform, self.sample_rate, len(words))
        known = vocabulary_of(self.mods.model)
        if known is not None:
            unknown = sum(word not in known for word in words)
            measures["unknown words"] = unknown / len(words)
        return describe_unusual(measures, ranges)

    @torch.no_grad()
    def _outputs(
        self,
        encoded: list[EncodedUtterance],
        offsets: torch.Tensor | None = None,
    ) -> EmotionOutput:
        """Apply the model, with an offset ``[features]`` for each utterance."""
        with applied(encoded[0].path or "a batch"):
            audio = frames_of(encoded)
            audio = audio._replace(frames=audio.frames.to(self.device))
            if offsets is not None:
                audio = shifted(audio, offsets.to(self.device))
            audio = audio._replace(frames=self.mods.normalize(audio.frames))
            texts = [[w.text for w in each.found.tiled()] for each in encoded]
            return self.mods.model(texts, audio)

    @torch.no_grad()
    def evidence(self, encoded: list[EncodedUtterance]) -> list[SpeakerProfile]:
        """Return a speaker profile of each utterance.

        See ``SpeakerAdaptation``; emotions are predicted without adaptation.
        """
        normalize = self.mods.normalize
        probabilities = decide(self._outputs(encoded)).float().exp()
        means = mean_frames(frames_of(encoded)).to(self.device)
        profiles = [
            normalize.evidence(mean[None], row[None])
            for mean, row in zip(means, probabilities)
        ]
        return [
            replace(own, totals=own.totals.cpu(), counts=own.counts.cpu())
            for own in profiles
        ]

    def classify_encoded(
        self,
        encoded: list[EncodedUtterance],
        speakers: Sequence[str | None],
        profiles: dict[str, SpeakerProfile] | None = None,
        contained: bool = True,
    ) -> list[Prediction]:
        """Predict utterances, adapted to the profiles of their speakers.

        Arguments
        ---------
        encoded : list of EncodedUtterance
            Results of ``encode_file``.
        speakers : list of str or None
            Speaker of each utterance; None if unknown.
        profiles : dict of str: SpeakerProfile or None
            Profiles of the speakers; by default, those of enrolled speakers.
        contained : bool
            Whether ``profiles`` contain the utterances. An utterance is adapted to
            the other ones only.

        Returns
        -------
        list of Prediction
            One per utterance.

        Raises
        ------
        InputError
            If a speaker has no profile.
        """
        adapted_to, offsets = [0] * len(encoded), None
        known = self.profiles if profiles is None else profiles
        for speaker in set(speakers) - {None}:
            if speaker not in known:
                raise InputError(
                    f"the speaker {speaker!r} is not enrolled. Enroll the speaker "
                    "first, or pass no speaker."
                )
        if any(speakers) and self.adapts:
            contained = contained and profiles is not None
            evidence = self.evidence(encoded) if contained else None
            size = self.mods.normalize.class_means.shape[1]
            offsets = torch.zeros(len(encoded), size)
            for i, speaker in enumerate(speakers):
                if speaker is not None:
                    own = evidence[i] if contained else None
                    offsets[i] = self.mods.normalize.offset(known[speaker], own)
                    adapted_to[i] = known[speaker].recordings - contained
        output = self._outputs(encoded, offsets)
        with applied(encoded[0].path or "a batch"):
            return self._predictions(encoded, output, adapted_to)

    def classify_together(
        self,
        encoded: list[EncodedUtterance],
        speakers: Sequence[str | None],
    ) -> list[Prediction]:
        """Predict utterances, each adapted to the others of its speaker.

        See ``classify_encoded``; speakers need not be enrolled.
        """
        if not encoded:
            return []
        if not self.adapts or not any(speakers):
            return self.classify_encoded(encoded, [None] * len(encoded))
        profiles = {}
        for speaker, own in zip(speakers, self.evidence(encoded)):
            if speaker is not None:
                self.add_to_profile(profiles, speaker, [own])
        return self.classify_encoded(encoded, speakers, profiles)

    def add_to_profile(
        self,
        profiles: dict[str, SpeakerProfile],
        speaker: str,
        evidence: Sequence[SpeakerProfile],
    ) -> None:
        """Add evidence to a profile, which starts as that of the enrolled speaker."""
        if speaker not in profiles:
            shape = self.mods.normalize.class_means.shape
            known = self.profiles.get(speaker, SpeakerProfile.empty(*shape))
            profiles[speaker] = replace(known)
        for own in evidence:
            profiles[speaker].add(own)

    def _predictions(
        self,
        encoded: list[EncodedUtterance],
        output: EmotionOutput,
        adapted_to: Sequence[int],
    ) -> list[Prediction]:
        """Return the predictions of an output."""
        log_probabilities = decide(output).float() / self.hparams.temperature
        probabilities = log_probabilities.softmax(dim=1)
        if not probabilities.isfinite().all():
            raise InputError(
                f"{encoded[0].path or 'a batch'}: the model returned non-finite "
                "values. Check its weights and its temperature."
            )
        decisions = {
            name: logits.float().softmax(dim=1).tolist()
            for name, logits in output.logits.items()
        }
        classes = self.classes
        dimensions = [{}] * len(encoded)
        if isinstance(output, DimensionOutput):
            dimensions = [
                dict(zip(self.dimensions, row))
                for row in decide_dimensions(output).tolist()
            ]
        sets = [None] * len(encoded)
        if self.confidence is not None:
            sets = emotion_sets(
                self.statistics.conformal,
                probabilities.cpu().numpy(),
                self.confidence,
            )
        return [
            Prediction(
                path=each.path,
                start=each.start,
                end=each.start + each.seconds,
                label=classes[max(range(len(classes)), key=row.__getitem__)],
                probabilities=dict(zip(classes, row)),
                decisions={
                    name: dict(zip(classes, rows[i]))
                    for name, rows in decisions.items()
                },
                words=_attended(each, output.attention, i),
                aligned_by=each.found.aligned_by,
                adjustments=each.found.adjustments,
                adapted_to=adapted_to[i],
                emotions=None if sets[i] is None else tuple(sets[i]),
                warnings=each.warnings,
                dimensions=dimensions[i],
            )
            for i, (each, row) in enumerate(
                zip(encoded, probabilities.tolist())
            )
        ]


@contextmanager
def applied(name: str) -> Iterator[None]:
    """Context in which the parts of a model are applied to an input.

    Parts of an untrusted folder may not fit each other, and raise any error.
    """
    try:
        yield
    except InputError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(
            f"{name}: the model cannot process the input ({reason}). If memory ran "
            "out, use shorter recordings; otherwise check the settings of the model."
        ) from error


def _check_encoder(model: dict[str, Any]) -> None:
    """Refuse a pretrained encoder whose features the network was not trained for."""
    source = model.get("audio_source")
    size = getattr(model["compute_features"], "output_size", None)
    mean = getattr(model["modules"]["normalize"], "mean", None)
    if None not in (source, size, mean) and size != len(mean):
        raise InputError(
            f"{source} returns {size:,} features per frame, but "
            f"the model was trained with {len(mean):,}. Pass the encoder that the "
            "model was trained with."
        )


def _alignment_of(
    path: str | Path, alignment: Alignment | None
) -> Alignment | None:
    """Return an alignment; a file of a whole corpus names utterances like the audio."""
    if isinstance(alignment, (str, Path)):
        return AlignmentFile(alignment, Path(path).stem)
    return alignment


def _settled(
    source: str | Path, fetch_config: FetchConfig | None
) -> str | Path:
    """Return the folder of one commit, so that the checked files are the loaded ones.

    Folders and URLs are returned unchanged.
    """
    source = str(source)
    if os.path.isdir(source) or "://" in source:
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


def _normalized(
    frames: Sequence[torch.Tensor], groups: Sequence[str]
) -> list[torch.Tensor]:
    """Normalize the frames of utterances by the statistics of their group."""
    statistics = {}
    for group in set(groups):
        own = torch.cat([f for f, g in zip(frames, groups) if g == group])
        # In double precision, as in training: rounding errors of a constant
        # feature would exceed its standard deviation.
        own = own.double()
        mean, std = own.mean(0), own.std(0, unbiased=False)
        statistics[group] = mean.float(), std.float()
    return [standardize(f, *statistics[g]) for f, g in zip(frames, groups)]


def _attended(
    utterance: EncodedUtterance, attention: Attention | None, i: int
) -> list[AttendedWord]:
    """Return the words of utterance ``i`` with the weights of each head."""
    words = utterance.found.words
    weights = {
        modality: weights[i, : len(words)].float().tolist()
        for modality, weights in (
            attention._asdict() if attention is not None else {}
        ).items()
        # None for systems that attend to frames instead of words
        if weights is not None
    }
    return [
        AttendedWord(
            text=word.text,
            start=round(word.start + utterance.start, 6),
            end=round(word.end + utterance.start, 6),
            score=word.score,
            attention={
                modality: tuple(rows[number])
                for modality, rows in weights.items()
            },
        )
        for number, word in enumerate(words)
    ]
