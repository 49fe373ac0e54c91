"""Processes that train one model together: their signs of life, their start and their end.

:mod:`signs` says who is alive and at work, :mod:`places` where that can be seen, :mod:`workers` is
what each process does around its training, :mod:`failures` what it leaves where it cannot go on,
:mod:`supervision` what the process does that started them. torchrun starts the workers, and starts
them again. Nothing here waits longer than it was told to.
"""
