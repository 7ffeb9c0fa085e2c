"""Package metadata of speechbrain_can, a SpeechBrain plugin."""

from pathlib import Path

from setuptools import find_packages, setup

# Each extra is optional and imported only where it is used.
EXTRAS = {
    # matplotlib plots the figures of reports and the attention of an utterance
    "plots": ["matplotlib>=3.6"],
    # trackers of experiments; the skinny MLflow has no server, and stores runs in
    # SQLite files with sqlalchemy and alembic
    "wandb": ["wandb>=0.17"],
    "mlflow": ["mlflow-skinny>=2.9", "sqlalchemy>=1.4", "alembic>=1.9"],
    # tensorboard writes the curves of ``--use_tensorboard=True``
    "tensorboard": ["tensorboard>=2.10"],
    # transformers loads pretrained encoders, as in SpeechBrain's integrations
    "huggingface": ["transformers>=4.30.0"],
    # opensmile computes eGeMAPS
    "egemaps": ["opensmile>=2.5"],
    # praatio reads TextGrid, pympi-ling ELAN, webvtt-py subtitles
    "readers": [
        "praatio>=6.2",
        "pympi-ling>=1.70",
        "webvtt-py>=0.6",
    ],
    # pocketsphinx aligns English and contains its model, espeakng-loader (eSpeak
    # NG as a wheel) pronounces unknown words, inflect spells out numbers
    "align": ["pocketsphinx>=5.0.4", "espeakng-loader>=0.2", "inflect>=7.0"],
    # faster-whisper recognizes speech and contains Silero's voice activity detection
    "asr": ["faster-whisper>=1.2"],
    # praatio writes TextGrid, sounddevice records from a microphone
    "predict": ["praatio>=6.2", "sounddevice>=0.4.6"],
    # ray runs trials, also on clusters; optuna searches hyperparameters
    "ray": ["ray[tune]>=2.43", "optuna>=3.0"],
    # playwright drives a browser, axe finds accessibility violations
    "browser": ["playwright>=1.40", "axe-playwright-python>=0.1.4"],
    # sphinx builds the API documentation
    "docs": ["sphinx>=7.1"],
    # espeakng-loader contains the voices of the controlled corpus
    "demo": ["espeakng-loader>=0.2", "matplotlib>=3.6"],
}
# The benchmarks compare with librosa, and read shards with webdataset.
EXTRAS["bench"] = sorted(
    {*EXTRAS["plots"], *EXTRAS["huggingface"], *EXTRAS["egemaps"]}
    | {"librosa>=0.10", "webdataset>=0.2.86"}
)
# The linters have the versions of SpeechBrain, because their findings change.
EXTRAS["test"] = sorted(
    {
        *EXTRAS["demo"],
        *EXTRAS["tensorboard"],
        *EXTRAS["wandb"],
        *EXTRAS["mlflow"],
        *EXTRAS["bench"],
        *EXTRAS["docs"],
        *EXTRAS["readers"],
        *EXTRAS["align"],
        *EXTRAS["asr"],
        *EXTRAS["ray"],
        *EXTRAS["browser"],
        # hypothesis generates damaged input and simplifies failures
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
        # tensors, LSTM, FFT; torchaudio 2.11, its last release, is built for
        # CUDA 13.0 and cannot be imported with torch 2.15 (CUDA 13.2)
        "torch>=2.7.1,<2.15",
        "torchaudio>=2.7.1,<2.12",  # mel filters, DCT, resampling
        "hyperpyyaml>=1.2.2",  # the hparams files
        "ruamel.yaml>=0.17.28",  # HyperPyYAML's own parser, for overrides
        # SpeechBrain's tokenizers; earlier versions crash on crafted models
        "sentencepiece>=0.2.3",
        "numpy>=1.17.0",  # arrays, memory-mapped features
        "pandas>=1.0.1",  # manifests, folds, predictions, tables
        "safetensors>=0.4",  # weights of model folders, without code
        "pydantic>=2.5",  # schemas of model folders
        "soxr>=0.4",  # resampling between rates without a common divisor
        "soundfile>=0.12.1",  # audio files, as SpeechBrain reads them
        "scikit-learn>=1.0",  # metrics
        "torchmetrics>=1.0",  # calibration error
        "fairlearn>=0.10",  # results by group
        "crepes>=0.7",  # conformal prediction
        "scipy>=1.10.0",  # confidence intervals
        "statsmodels>=0.13.5",  # McNemar's test, Holm's correction
        "rapidfuzz>=3.0",  # near-duplicate sentences
        "tabulate>=0.9.0",  # tables in Markdown and LaTeX
        "tqdm>=4.42.0",  # progress bars
        "filelock>=3.0",  # locks of corpora, caches and folds
        "click>=8.0",  # the command line
        "jinja2>=3.1",  # HTML pages; torch requires it as well
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
