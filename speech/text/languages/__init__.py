"""One file a language; see `speech.text.language.Language` for what each holds."""
