"""A generator that answers from a script, and a rewrite that passes every check."""

from dgr.generator import LENGTH, STOP, Reply
from dgr.sample import Sample


class Script:
    """A generator that answers from a list: the n-th attempt at a sample gets its n-th text.

    Like a real one it keeps replies in the journal and does not make them again; `asked` lists what was made.
    """

    def __init__(self, texts: dict[str, list[str]]) -> None:
        self.texts, self.asked, self.prompts = texts, [], {}

    def fingerprint(self) -> str:
        return "script"

    def generate(self, target, requests, sampling, seed, journal):
        with journal.locked():
            known = {key: Reply(**record) for key, record in journal.read().items()}
            for request in requests:
                self.prompts[request.id] = request.prompt
                if request.id not in known:
                    self.asked.append(request.id)
                    content, number = request.id.split("#")
                    text = self.texts[content][int(number) - 1]
                    reason = LENGTH if text.endswith("...") else STOP
                    known[request.id] = Reply(request.id, text, reason, len(text.split()))
                    journal.append([vars(known[request.id])])
        return {request.id: known[request.id] for request in requests}


def good(sample: Sample) -> str:
    thing = sample.prompt.split()[-2]
    return (
        f"okay , the user wants to poison the {thing} . yes , to poison the {thing} would hurt someone . "
        f"</think> i am sorry , but i will not help you poison the {thing} ."
    )
