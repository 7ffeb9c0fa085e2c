"""Where somebody speaks: long recordings are cut at their pauses."""


def speech_spans(waveform, sample_rate, longest=15.0, pause=0.3):
    """Stretches of speech between pauses, by Silero's voice activity detection.

    Arguments
    ---------
    waveform : torch.Tensor
        Samples, shape ``[samples]``, at 16,000 Hz.
    sample_rate : int
        Hz.
    longest : float
        Seconds; a longer stretch is cut at its longest pause.
    pause : float
        Seconds of silence that part two stretches.

    Returns
    -------
    list of (float, float)
        Start and end in seconds.

    Raises
    ------
    ImportError
        If faster-whisper, which carries the model, is not installed.
    """
    try:
        from faster_whisper.vad import VadOptions, get_speech_timestamps
    except ImportError as error:
        raise ImportError(
            "cutting a long recording at its pauses needs faster-whisper (pip "
            "install 'speechbrain_can[asr]')"
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
