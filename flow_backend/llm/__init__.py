"""Language models: one file a provider, one line each in `registry.py`.

The providers' SDKs take seconds to import, so a provider's module is imported when the provider
is made.
"""
