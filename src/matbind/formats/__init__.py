"""Files as instruments and codes write them: structures, powder patterns, densities of states.

Nothing here knows of a data set: each function reads one file. Every refusal is one sentence.
"""
