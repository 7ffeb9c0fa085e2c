# These commands do all the set-up on a machine with python3, make and git:
#   make demo   a trained model and a picture, from the controlled corpus
#   make test   the whole test suite, with lint
#   make bench  speed and memory beside what people would use instead

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
RECIPE := recipes/IEMOCAP/multimodal_emotion_recognition

.PHONY: demo test bench clean

# A stamp an extra: pip runs again only when setup.py changes.
$(VENV)/installed-%: setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable ".[$*]"
	touch $@

demo: $(VENV)/installed-demo
	cd $(RECIPE) && $(BIN)/python train.py hparams/can.yaml \
		--fold=0 --output_folder=results/demo

test: $(VENV)/installed-test
	git ls-files '*.py' | xargs $(BIN)/ruff format --check
	git ls-files '*.py' | xargs $(BIN)/ruff check
	git ls-files '*.yaml' '*.yml' | xargs $(BIN)/yamllint --no-warnings
	$(BIN)/python -m pytest

bench: $(VENV)/installed-bench
	$(BIN)/python tests/benchmarks/run.py

clean:
	rm -rf $(VENV) $(RECIPE)/results/demo $(RECIPE)/results/controlled_corpus_*
