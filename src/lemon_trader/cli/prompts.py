"""Questions to whoever sits before the program, one line each; in a pipe the answers are the lines of the pipe.

What an answer means is decided where flags and files are read too: a prompt has no rules of its own.
"""

import sys
from collections.abc import Sequence
from typing import Final

from lemon_trader.cli.doors import complain
from lemon_trader.cli.screen import print_text, prompted
from lemon_trader.config.errors import BadSetting
from lemon_trader.config.values import doubt, parse
from lemon_trader.messages.catalogue import say, shown
from lemon_trader.strategies.parameter import Parameter

REST: Final = "."  # the answer that takes the defaults of all further questions


class Prompts:
    """Asks.

    Attributes:
        is_person: somebody types; a wrong answer is then asked again.
        accepted: flags of the values that look wrong and are meant, as somebody said.
        is_derailed: a pipe gave a wrong answer; what follows in it was meant for other questions and is not read.
    """

    def __init__(self) -> None:
        """Look at standard input once."""
        self.is_person = sys.stdin.isatty()
        self.accepted: set[str] = set()
        self.is_derailed = False

    def line(self, prompt: str) -> str:
        """One answer without its blanks. Raises EOFError when there is none any more."""
        if self.is_person:
            return input(prompted(prompt)).strip()
        answer = sys.stdin.readline()
        if not answer:
            raise EOFError
        print(f"{prompt}{shown(answer.strip())}")
        return answer.strip()

    def yes(self, key: str, **values: object) -> bool:
        """A yes-or-no question; anything but yes is no."""
        return self.line(f"{say(key, **values)} {say('ask.yes-no')} ").lower() in say("ask.yes-words").split()

    def refused(self, error: BadSetting) -> None:
        """Tell a person what was wrong with the answer. In a pipe raises it."""
        if not self.is_person:
            self.is_derailed = True
            raise error
        complain(error.key, error.values)

    def value(self, parameter: Parameter, default: str | None) -> str | None:
        """A value for this parameter as text that was checked; None = as it is without being given; `REST` = the same for all that follow.

        A value that is probably off by a hundred or a sign is asked about at once.
        """
        shown_default = parameter.default if default is None else default
        text = say("prompt.value", name=parameter.name, meaning=say(parameter.help), default=shown_default or say("prompt.auto"))
        if parameter.kind == "choice":
            text += say("prompt.choices", choices=", ".join(parameter.choices))
        while True:
            answer = self.line(f"{text}: ") or default
            if answer is None or answer == REST:
                return answer
            try:
                question = doubt(parameter, parse(parameter, answer))
            except BadSetting as error:
                self.refused(error)
                continue
            if question is None:
                return answer
            if not self.is_person:
                self.refused(BadSetting("doubt.unanswered", question=say(question.key, **question.values)))
            if self.yes(question.key, **question.values):
                self.accepted.add(parameter.flag)
                return answer

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        """One of `choices`, by name or number."""
        while True:
            listed = ", ".join(f"{number} {name}" for number, name in enumerate(choices, 1))
            answer = self.line(f"{say(key)} ({listed}) [{default}]: ")
            if not answer:
                return default
            if answer in choices:
                return answer
            if answer.isascii() and answer.isdigit() and 0 < int(answer[:3]) <= len(choices):
                return choices[int(answer[:3]) - 1]
            self.refused(BadSetting("prompt.not-a-choice", value=answer[:40], choices=", ".join(choices)))

    def values(self, parameters: Sequence[Parameter], given: dict[str, str]) -> dict[str, str]:
        """Every parameter's text that differs from its default, asked one after the other until `REST`; `given` are defaults by name."""
        found = {p.name: given[p.name] for p in parameters if p.name in given}
        print_text(say("prompt.how", rest=REST))
        for parameter in parameters:
            answer = self.value(parameter, given.get(parameter.name))
            if answer == REST:
                break
            if answer is not None:
                found[parameter.name] = answer
        return found
