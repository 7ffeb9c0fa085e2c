# These commands do all the set-up on a machine with python3, make and git:
#   make demo         a trained model, a page of it and a report, on the
#                     controlled corpus
#   make test         the whole test suite, with lint
#   make test-newest  the same on the newest versions that setup.py admits
#   make stress       damage, kills, attacks and changes: nothing is lost, and
#                     nothing is used in silence
#   make fuzz         ten minutes of made-up bytes for each kind of reader
#   make audit        known vulnerabilities of the versions that are locked
#   make bench        speed and memory beside what people would use instead
#   make docs         pages of all docstrings, in docs/build/html
#   make upstream     SpeechBrain's own checks of what we contribute to it:
#                     SPEECHBRAIN=<checkout>, else what the installed one allows
#   make lock         renews what all but test-newest install: exact versions,
#                     each file by its hash

PYTHON ?= python3
VENV ?= .venv
LOCKED ?= yes
LOCKS := $(if $(LOCKED),$(wildcard requirements/*.lock))
BIN := $(CURDIR)/$(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
RECIPE := recipes/IEMOCAP/multimodal_emotion_recognition
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.10 \
	--no-annotate --no-header --generate-hashes

.PHONY: demo test test-newest stress fuzz audit bench docs upstream lock clean

# A stamp an extra: pip runs again only when a version may have changed. What
# builds the package is locked too, so that nothing is fetched unseen.
$(VENV)/installed-%: setup.py $(LOCKS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifdef LOCKED
	$(PIP) install --require-hashes --no-deps -r requirements/build.lock
	$(PIP) install --require-hashes --no-deps --no-build-isolation \
		-r requirements/$(if $(filter demo,$*),demo,test).lock
	$(PIP) install --no-deps --no-build-isolation --editable .
else
	$(PIP) install setuptools wheel
	$(PIP) install --no-build-isolation --editable ".[$*]"
endif
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
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest \
		--numprocesses=2 --dist=loadfile --no-loadscope-reorder

test-newest:
	rm -rf .venv-newest
	$(MAKE) test VENV=.venv-newest LOCKED=

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
	$(BIN)/python tests/stress/all.py

fuzz: $(VENV)/installed-test
	$(PIP) install --require-hashes --no-deps -r requirements/fuzz.lock
	$(BIN)/python tests/stress/fuzz.py

audit: $(VENV)/installed-test
	$(PIP) install --require-hashes --no-deps -r requirements/audit.lock
	$(BIN)/python requirements/audit.py requirements/*.lock

lock:
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install uv
	rm -f requirements/*.lock
	$(COMPILE) --extra test setup.py --output-file requirements/test.lock
	$(COMPILE) --extra demo setup.py --output-file requirements/demo.lock \
		--constraint requirements/test.lock
	for name in build:setuptools,wheel audit:pip-audit fuzz:atheris==3.0.0; do \
		echo "$${name#*:}" | tr , '\n' | $(COMPILE) - \
			--constraint requirements/test.lock \
			--output-file requirements/$${name%:*}.lock || exit 1; \
	done

clean:
	rm -rf .venv .venv-newest docs/build $(RECIPE)/results/demo \
		$(RECIPE)/results/controlled_corpus_*
