# These commands do all of the setup on a machine with python3, make and git:
#   make demo           train a model on the controlled corpus; write a page
#                       of its test set and a report
#   make test           lint and run the whole test suite
#   make test-data      run the tests that need data: DATA=<folder>, and if you
#                       have them WHISPER=<folder> and BROWSER=<Chromium>
#   make test-seeds     run the tests that train with five other seeds
#   make test-portable  run the suite with 1 and 4 threads, and with the vector
#                       instructions of other processors
#   make test-pythons   run make test with each supported version of Python
#   make test-newest    run make test with the newest versions of setup.py
#   make stress         damage, kills, attacks and changed inputs
#   make fuzz           ten minutes of generated input for each kind of reader
#   make audit          known vulnerabilities of the locked versions
#   make bench          speed and memory, compared with common alternatives;
#                       DEVICE=cuda measures a GPU
#   make docs           API documentation, in docs/build/html
#   make upstream       SpeechBrain's checks of our contribution, on the
#                       checkout SPEECHBRAIN=<folder> or the installed package
#   make lock           update the locks: exact versions, with a hash per file

PYTHON ?= python3
VENV ?= .venv
LOCKED ?= yes
LOCKS := $(if $(LOCKED),$(wildcard requirements/*.lock))
BIN := $(CURDIR)/$(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
PYTHONS ?= 3.10 3.11 3.12 3.13
# Files run in parallel; two processes with one thread each use two cores
PYTEST := $(BIN)/python -m pytest --numprocesses=2 --dist=loadfile \
	--no-loadscope-reorder --durations=20
# Tests use data only where test-data names it
WITHOUT_DATA := env -u SPEECHBRAIN_CAN_DATA -u SPEECHBRAIN_CAN_WHISPER \
	-u SPEECHBRAIN_CAN_BROWSER
RECIPE := recipes/ControlledCorpus/multimodal_emotion_recognition
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.10 \
	--no-annotate --no-header --generate-hashes

.PHONY: demo test check-data test-data test-seeds test-portable test-pythons test-newest \
	stress fuzz audit bench docs upstream lock clean

# One stamp per extra: pip runs again only if a version may have changed. The
# build requirements are locked too, so that pip installs only known files.
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
	$(WITHOUT_DATA) OMP_NUM_THREADS=1 $(PYTEST)

DATA ?= $(SPEECHBRAIN_CAN_DATA)
WHISPER ?= $(SPEECHBRAIN_CAN_WHISPER)
BROWSER ?= $(SPEECHBRAIN_CAN_BROWSER)
export DATA WHISPER BROWSER

check-data:
	@test -d "$$DATA" || { echo "DATA='$$DATA' is not a folder. Run" \
		"make test-data DATA=<folder>; see CONTRIBUTING.md."; exit 1; }

test-data: check-data $(VENV)/installed-test
	SPEECHBRAIN_CAN_DATA="$$DATA" SPEECHBRAIN_CAN_WHISPER="$$WHISPER" \
	SPEECHBRAIN_CAN_BROWSER="$$BROWSER" OMP_NUM_THREADS=1 $(PYTEST) \
		-m "data or whisper or browser"

test-seeds test-portable: test-%: $(VENV)/installed-test
	$(WITHOUT_DATA) $(BIN)/python tests/variants.py $* -- $(PYTEST)

test-pythons:
	@for version in $(PYTHONS); do \
		if ! python$$version --version; then result=missing; \
		elif $(MAKE) test VENV=.venv-$$version PYTHON=python$$version; \
		then result=passed; else result=failed; fi; \
		summary="$$summary python$$version $$result,"; \
	done; echo "$$summary"; case "$$summary" in *missing* | *failed*) exit 1; esac

test-newest:
	rm -rf .venv-newest
	$(MAKE) test VENV=.venv-newest LOCKED=

bench: $(VENV)/installed-bench
	$(BIN)/python tests/benchmarks/$(if $(DEVICE),device.py \
		--device=$(DEVICE),run.py)

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
	rm -rf .venv .venv-* docs/build $(RECIPE)/results/demo \
		$(RECIPE)/results/controlled_corpus_*
