"""The one tree of errors that end a command.

```
JwtdrillError            a message of one line: what, where, how to mend
├── BadInputError        a file, an option or a name that cannot be used          exit code 2
├── MissingPartError     a program or a service that is needed and not there      exit code 2
└── HarnessLimitError    the harness, not the target, set the result              exit code 3
```

`verify.VerificationError` stands apart on purpose: it is an answer about a token, not about a command.
"""

from typing import ClassVar


class JwtdrillError(Exception):
    """Base of the errors that the command line turns into one line and an exit code."""

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class BadInputError(JwtdrillError):
    """Something that the user gave cannot be used."""


class MissingPartError(JwtdrillError):
    """Something that the work needs is not there: a program, a service, a running lab."""


class HarnessLimitError(JwtdrillError):
    """The harness itself set the pace, so that the result says nothing of the target."""

    exit_code: ClassVar[int] = 3
