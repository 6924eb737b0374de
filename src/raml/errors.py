"""What can go wrong, and the exit code it ends with.

    RamlError            exit 1   a job failed
    └── InputError       exit 2   what the user gave cannot be used: message says what, where, what is allowed
        ├── ConfigError           a configuration key or value
        └── DataError             a file: missing, malformed, truncated, of another schema

Messages are one line, without a traceback; `raml.step.run` and `raml.cli.main` print them.
"""


class RamlError(Exception):
    """A job failed for a reason that we can name."""

    exit_code = 1


class InputError(RamlError):
    """The user's input cannot be used; the message says how to mend it."""

    exit_code = 2


class ConfigError(InputError):
    """A configuration key or value is not allowed."""


class DataError(InputError):
    """A file is missing, malformed, truncated or of another schema."""
