"""Dead letters, for people: find out why scores were rejected, mend them, send them again or put them aside.

A **letter** is one record of `scores.rejected`, named by its partition and offset there, as `2/77`. The table
`rejected_scores` is the index and holds the original bytes; `dead_letter_actions` holds what was done. A letter with an
action is handled, and hidden unless asked for.
"""
