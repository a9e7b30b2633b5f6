"""What `parley bench …` runs: each module times one part beside a named baseline in the same run.

May import everything but `stack`.
"""
