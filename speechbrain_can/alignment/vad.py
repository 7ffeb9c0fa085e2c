"""Voice activity detection (VAD), to split long recordings at pauses."""

import torch


def speech_spans(
    waveform: torch.Tensor,
    sample_rate: int,
    longest: float = 15.0,
    pause: float = 0.3,
) -> list[tuple[float, float]]:
    """Detect spans of speech with Silero VAD.

    Arguments
    ---------
    waveform : torch.Tensor
        Samples at 16,000 Hz, ``[samples]``.
    sample_rate : int
        Sample rate in Hz.
    longest : float
        Maximum length in seconds; longer spans are split at their longest pause.
    pause : float
        Minimum length in seconds of a pause between two spans.

    Returns
    -------
    list of (float, float)
        Start and end in seconds.

    Raises
    ------
    ImportError
        If faster-whisper, which includes the VAD model, is not installed.
    """
    try:
        from faster_whisper.vad import VadOptions, get_speech_timestamps
    except ImportError as error:
        raise ImportError(
            "splitting long recordings at pauses needs faster-whisper. Run pip "
            "install 'speechbrain_can[asr]'."
        ) from error
    options = VadOptions(
        max_speech_duration_s=longest,
        min_silence_duration_ms=round(1000 * pause),
        speech_pad_ms=100,
    )
    spans = get_speech_timestamps(
        waveform.numpy(), options, sampling_rate=sample_rate
    )
    return [
        (span["start"] / sample_rate, span["end"] / sample_rate)
        for span in spans
    ]
