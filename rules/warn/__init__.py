"""Warnings: definitions that can be used, but hardly say what their author meant.

values, terms, reach    what can be true of some value, predicate, rule: sound, so when in doubt it can
never                   where a rule can never, or always, be true
suspicions              text and names that look like something else
seen                    names that a log doesn't have
find                    all of these, with their places
"""
