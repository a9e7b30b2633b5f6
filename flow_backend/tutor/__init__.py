"""What the language tutor does beside answering: corrections, summaries, vocabulary.

May import the engine, the models and the store.
"""
