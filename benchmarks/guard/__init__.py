"""The quick form: have the ratios to other pools fallen since the reference was written?

Only ratios count, each of figures that were measured within a fraction of a second of each other
in one process: times differ from machine to machine and from minute to minute, ratios hardly.
Still a busy machine shifts the ratios of wall times, for it is the one who sleeps and wakes more
often who waits longer; so ratios of processor times are compared as well.
"""
