# These commands do all the set-up on a machine with python3, make and git:
#   make demo         a trained model, a page of it and a report, on the
#                     controlled corpus
#   make test         the whole test suite, with lint
#   make test-newest  the same on the newest versions that setup.py admits
#   make stress       two thousand damaged corpora: none is used in silence
#   make bench        speed and memory beside what people would use instead
#   make docs         pages of all docstrings, in docs/build/html
#   make upstream     SpeechBrain's own checks of what we contribute to it:
#                     SPEECHBRAIN=<checkout>, else what the installed one allows
#   make lock         renews the exact versions that all but test-newest install

PYTHON ?= python3
VENV ?= .venv
LOCK ?= requirements.lock
BIN := $(CURDIR)/$(VENV)/bin
RECIPE := recipes/IEMOCAP/multimodal_emotion_recognition

.PHONY: demo test test-newest stress bench docs upstream lock clean

# A stamp an extra: pip runs again only when a version may have changed. What
# builds the package is locked too, so that nothing is fetched unseen.
$(VENV)/installed-%: setup.py $(LOCK)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(addprefix --constraint ,$(LOCK)) setuptools wheel
	$(BIN)/pip install --quiet $(addprefix --constraint ,$(LOCK)) \
		--no-build-isolation --editable ".[$*]"
	touch $@

demo: $(VENV)/installed-demo
	cd $(RECIPE) && $(BIN)/python train.py hparams/can.yaml \
		--fold=0 --output_folder=results/demo
	cd $(RECIPE) && $(BIN)/speechbrain-can report results/demo/fold_0 \
		--html=results/demo/fold_0/page.html
	cd $(RECIPE) && $(BIN)/speechbrain-can report results/demo \
		--html=results/demo/report.html

test: $(VENV)/installed-test
	git ls-files '*.py' | xargs $(BIN)/ruff format --check
	git ls-files '*.py' | xargs $(BIN)/ruff check
	git ls-files '*.yaml' '*.yml' | xargs $(BIN)/yamllint --no-warnings
	$(BIN)/python -m pytest

test-newest:
	rm -rf .venv-newest
	$(MAKE) test VENV=.venv-newest LOCK=

bench: $(VENV)/installed-bench
	$(BIN)/python tests/benchmarks/run.py

docs: $(VENV)/installed-docs
	rm -rf docs/build
	$(BIN)/sphinx-apidoc -q --separate --module-first --no-toc \
		-o docs/build/api speechbrain_can
	$(BIN)/sphinx-build -q -W -c docs docs/build/api docs/build/html

upstream: $(VENV)/installed-test
ifdef SPEECHBRAIN
	cd tests && $(BIN)/python -m upstream.check $(abspath $(SPEECHBRAIN))
	cd tests && $(BIN)/python -m upstream.patches $(abspath $(SPEECHBRAIN))
else
	$(BIN)/python -m pytest tests/upstream
endif

stress: $(VENV)/installed-test
	$(BIN)/python tests/stress/damage.py 2000

lock:
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet uv
	printf 'setuptools\nwheel\n' | $(BIN)/uv pip compile --quiet --upgrade \
		--universal --python-version 3.9 --no-annotate --no-header \
		--extra test setup.py - --output-file requirements.lock

clean:
	rm -rf .venv .venv-newest docs/build $(RECIPE)/results/demo \
		$(RECIPE)/results/controlled_corpus_*
