"""The root of the errors that explain themselves."""


class DinError(Exception):
    """Something that the user can put right; the message says what, where and how.

    The asset layer shows the message of such an error without a stack trace.
    """


class RefusedOptionsError(DinError):
    """Options that cannot work, on this data or on any; the message names them and the way out."""


class WrongRequestError(DinError, ValueError):
    """A question to a served model that cannot be answered; the message names what is wrong in it.

    The command line ends with status 2 on such an error, a server answers 4xx.
    """
