"""Which model is served, and why: every model that was judged, and every decision about one.

``model_versions`` and ``publications`` are tables of the pipeline's database to which rows are only
added (:mod:`.history`). The last publication names the bundle that is served; ``current`` beside
the bundles follows it, so that a kill between the two is put right by the next run. A candidate is
held against the published model on the same test rows (:mod:`.comparison`), judged by rules
(:mod:`.decision`, :mod:`.judgement`); a person may go back (:mod:`.rollback`). Which files stay
when old ones are removed says :mod:`.retention`. This package writes no bundle.
"""
