"""Sphinx: the pages from docstrings, with SpeechBrain's own settings."""

root_doc = "speechbrain_can"  # the page that sphinx-apidoc makes of the package
project = "speechbrain-can"
author = "The speechbrain-can developers"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_include_init_with_doc = True
napoleon_include_special_with_doc = True
napoleon_use_ivar = False
autodoc_default_options = {"member-order": "bysource", "members": True}
autodoc_inherit_docstrings = False
default_role = "code"
html_theme = "alabaster"
