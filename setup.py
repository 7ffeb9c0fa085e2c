"""Package metadata of speechbrain_can, a SpeechBrain plugin."""

from pathlib import Path

from setuptools import find_packages, setup

# Each extra is optional and imported only where it is used.
EXTRAS = {
    # matplotlib draws the pictures of reports and of one utterance's attention
    "plots": ["matplotlib>=3.6"],
    # tensorboard writes the curves of ``--use_tensorboard=True``
    "tensorboard": ["tensorboard>=2.10"],
    # transformers loads pretrained encoders, as SpeechBrain's integration does,
    "huggingface": ["transformers>=4.30.0"],
    # opensmile computes eGeMAPS
    "egemaps": ["opensmile>=2.5"],
    # praatio reads TextGrid, pympi-ling ELAN, webvtt-py subtitles
    "readers": [
        "praatio>=6.2",
        "pympi-ling>=1.70",
        "webvtt-py>=0.6",
    ],
    # pocketsphinx aligns English and brings its model, espeakng-loader (eSpeak
    # NG as a wheel) pronounces unknown words, inflect spells numbers out
    "align": ["pocketsphinx>=5.0.4", "espeakng-loader>=0.2", "inflect>=7.0"],
    # faster-whisper recognises speech and brings Silero's voice detection
    "asr": ["faster-whisper>=1.2"],
    # praatio writes TextGrid, sounddevice records from a microphone
    "predict": ["praatio>=6.2", "sounddevice>=0.4.6"],
    # ray runs many trainings, on a cluster too, and searches with optuna
    "ray": ["ray[tune]>=2.43", "optuna>=3.0"],
    # playwright drives a browser, axe finds accessibility violations
    "browser": ["playwright>=1.40", "axe-playwright-python>=0.1.4"],
    # sphinx makes pages of the docstrings
    "docs": ["sphinx>=7.1"],
    # espeakng-loader brings the voices of the controlled corpus as a wheel
    "demo": ["espeakng-loader>=0.2", "matplotlib>=3.6"],
}
# librosa is one of those that the benchmarks compare with, webdataset reads
# shards
EXTRAS["bench"] = sorted(
    {*EXTRAS["plots"], *EXTRAS["huggingface"], *EXTRAS["egemaps"]}
    | {"librosa>=0.10", "webdataset>=0.2.86"}
)
# The linters are pinned, as upstream pins them: their findings change.
EXTRAS["test"] = sorted(
    {
        *EXTRAS["demo"],
        *EXTRAS["tensorboard"],
        *EXTRAS["bench"],
        *EXTRAS["docs"],
        *EXTRAS["readers"],
        *EXTRAS["align"],
        *EXTRAS["asr"],
        *EXTRAS["ray"],
        *EXTRAS["browser"],
        # hypothesis generates damaged inputs and shrinks those that fail
        *("hypothesis>=6.100", "pytest>=7.4"),
        "pytest-xdist>=3.8",  # runs test files in parallel
        *("ruff==0.12.4", "yamllint==1.35.1"),
        "codespell==2.3.0",
    }
)

setup(
    name="speechbrain_can",
    version="0.1.0",
    description=(
        "Speech emotion recognition from audio and text aligned word by word: "
        "the Cross Attention Network as a SpeechBrain plugin"
    ),
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["speechbrain_can", "speechbrain_can.*"]),
    package_data={
        "speechbrain_can": [
            "controlled/sentences.tsv",
            "report/templates/*",
            "models/*/*",
        ]
    },
    python_requires=">=3.10",
    install_requires=[
        "speechbrain>=1.1.2",  # Brain, data pipeline, checkpoints
        # tensors, LSTM, FFT; torchaudio 2.11, its last release, is made for
        # CUDA 13.0 and refuses to be imported beside torch 2.15 (CUDA 13.2)
        "torch>=2.7.1,<2.15",
        "torchaudio>=2.7.1,<2.12",  # mel filters, DCT, resampling
        "hyperpyyaml>=1.2.2",  # the hparams files
        "ruamel.yaml>=0.17.28",  # HyperPyYAML's own parser, for overrides
        "sentencepiece>=0.1.91",  # SpeechBrain's own tokenizers
        "numpy>=1.17.0",  # arrays, memory-mapped features
        "pandas>=1.0.1",  # manifests, folds, predictions, tables
        "safetensors>=0.4",  # model folders: numbers, and no code
        "soundfile>=0.12.1",  # audio files, as SpeechBrain reads them
        "scikit-learn>=1.0",  # metrics
        "torchmetrics>=1.0",  # calibration error
        "scipy>=1.10.0",  # confidence intervals
        "statsmodels>=0.13.5",  # McNemar's test, Holm's correction
        "rapidfuzz>=3.0",  # sentences that are nearly the same
        "tabulate>=0.9.0",  # tables in Markdown and LaTeX
        "tqdm>=4.42.0",  # progress bars
        "filelock>=3.0",  # runs side by side prepare a corpus once
        "click>=8.0",  # the command line
        "jinja2>=3.1",  # the page of predictions, as torch has it anyway
    ],
    extras_require=EXTRAS,
    # SpeechBrain names third-party parts in YAML and keeps no registry; this
    # entry point lets other tools discover the lobes.
    entry_points={
        "speechbrain.plugins": ["cross_attention = speechbrain_can.lobes"],
        "console_scripts": ["speechbrain-can = speechbrain_can.__main__:main"],
    },
    classifiers=[
        *(
            f"Programming Language :: Python :: 3.{minor}"
            for minor in range(10, 14)
        ),
        "License :: OSI Approved :: Apache Software License",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
    ],
)
