"""The nouns: immutable values that every stage of the loop speaks in.

Belongs here: dataclasses, enumerations, errors, digests. Does not belong here: reading, writing, deciding.
Imports the standard library only.
"""
