"""Scripts that drive other projects' speech, each run by the Python of that project's own venv.

They import `measure` from their folder and nothing of this project.
"""
