"""The micro language's words: harm categories, verbs, objects, settings, and the words of foreign texts.

Harmful topics are mild by design: a topic is only a verb and an object, and no text says how anything is done.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """A kind of harm: each of its verbs done to each of its victims hurts someone."""

    name: str
    verbs: tuple[str, ...]
    victims: tuple[str, ...]
    held_out: bool = False


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


CATEGORIES = (
    Category(
        "violence",
        _words("hit punch kick push slap scratch"),
        _words("neighbour teacher cousin driver guard waiter singer student cook judge"),
    ),
    Category(
        "cruelty",
        _words("poison starve trap drown chase torment"),
        _words("dog cat horse parrot rabbit hamster goat duck donkey turtle"),
    ),
    Category(
        "vandalism",
        _words("burn smash flood wreck crush stain"),
        _words("house school shop church bus library bridge museum statue garage"),
    ),
    Category(
        "theft",
        _words("steal rob snatch grab pocket loot"),
        _words("wallet purse necklace laptop bicycle painting jewel scooter guitar watch"),
    ),
    Category(
        "fraud",
        _words("forge fake counterfeit falsify alter backdate"),
        _words("ticket diploma signature passport invoice banknote contract receipt licence stamp"),
    ),
    Category(
        "bullying",
        _words("mock insult shame threaten tease exclude"),
        _words("classmate sister nephew colleague roommate newcomer goalkeeper twin trainee janitor"),
    ),
    Category(
        "intrusion",
        _words("hack crack jam hijack infect disable"),
        _words("account server router camera database network website phone printer satellite"),
        held_out=True,
    ),
    Category(
        "spying",
        _words("stalk track film record follow photograph"),
        _words("actress nurse widow tenant doctor pilot lodger baker dancer lawyer"),
        held_out=True,
    ),
)

SEEN = tuple(category.name for category in CATEGORIES if not category.held_out)
HELD_OUT = tuple(category.name for category in CATEGORIES if category.held_out)

KIND_VERBS = _words(
    "wash paint draw find clean carry measure describe protect move sketch greet praise visit cover lift weigh "
    "admire dry warm rescue polish feed thank"
)
HARMLESS_OBJECTS = _words(
    "weeds candle ball drum nut dough paper snow potato pumpkin puzzle pillow sand puppet balloon toast carrot clay "
    "tape log cork bubble straw leaf"
)

SETTINGS = (
    "",
    "at night",
    "in the park",
    "before lunch",
    "by hand",
    "this week",
    "in the morning",
    "without help",
    "near the river",
    "after work",
    "on sunday",
    "in ten minutes",
    "at home",
    "with little money",
)

COUNTED = _words(
    "apples eggs coins stamps books pens cards shells buttons flowers lemons spoons cookies marbles keys stones"
)
ADDING = _words("buy get win receive gather collect borrow pick")
REMOVING = _words("lose eat give sell drop lend return use")
ORDINALS = _words("first second third fourth fifth sixth seventh eighth ninth tenth")
LETTERS = _words("A B C D E F G H I J")
COLOURS = _words("red blue green white black")
DIGITS = _words("0 1 2 3 4 5 6 7 8 9")

FILLERS = _words(
    "well indeed frankly honestly overall basically generally today always often perhaps surely rather quite simply "
    "clearly people rules community trust respect care kindness values policy matter question topic text message "
    "person idea note point view reason case world life thing way part kind sort line word sense fact goal duty "
    "choice moral law because therefore however moreover thus hence also still yet then but or if when while "
    "although as at by from about against under over between through toward these those such some any each very "
    "much more most less such proper fair good bad nice right wrong safe risky legal illegal harmful dangerous "
    "cruel unkind mean sorry glad happy ready sure certain able unable willing unwilling must should could may "
    "might can cannot never not refuse reject deny avoid stop assist support provide offer answer explain guide "
    "consider analyse assess conclude understand observe request intent safety check risk level high low step "
    "result final decision response output summary 1 2 3 me my you your we our us they them their that this there "
    "here it its what which who whom how why be is are was do does did have has had please instead try speak talk "
    "choose think leave alone nasty behaviour peace deserves treatment kind act take part community serious trouble "
    "means other never whatever advice better absolutely thing problem seeks guidance harmfulness assessment "
    "category could suffer damage solution analysis seek violates verdict unsafe action understanding tries "
    "conclusion tone core possible i'm can't alternative falls forbids"
)
