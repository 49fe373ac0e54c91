"""The root of the errors that explain themselves."""


class DinError(Exception):
    """Something that the user can put right; the message says what, where and how.

    The asset layer shows the message of such an error without a stack trace.
    """


class RefusedOptionsError(DinError):
    """Options that cannot work, on this data or on any; the message names them and the way out."""
