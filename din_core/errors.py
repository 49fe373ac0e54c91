"""The root of the errors that explain themselves."""


class DinError(Exception):
    """Something that the user can put right; the message says what, where and how.

    The asset layer shows the message of such an error without a stack trace.
    """


class RefusedOptionsError(DinError):
    """Options that cannot work, on this data or on any; the message names them and the way out."""


class WrongRequestError(DinError, ValueError):
    """What was asked for is wrong or not there; the message names what is wrong in it.

    A word, an option, a file or a setting, a question to a served model, or a result that no run
    has made yet. Nothing was begun. The command line ends with status 2 on such an error, a server
    answers 4xx; any other error, of what was begun and failed, is status 1.
    """
