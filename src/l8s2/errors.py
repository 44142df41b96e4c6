"""The one error users are meant to see."""


class InputError(ValueError):
    """Something given by the user cannot be used. The message is one line: value, rule and remedy."""
