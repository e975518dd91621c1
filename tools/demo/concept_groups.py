"""Words for groups of things ("animal", "fruit", "tools"), and which things belong to each."""

from __future__ import annotations

from dataclasses import dataclass

from tools.demo.pictograms import Thing


@dataclass(frozen=True)
class ConceptGroup:
    """A group that people search for: its words, the indexes of the things surely in it, and of those perhaps in it."""

    english: tuple[str, ...]
    chinese: tuple[str, ...]
    members: frozenset[int]
    borderline: frozenset[int]


# English words, Chinese words, members, borderline things; "@animal" stands for all of that category
_GROUPS = (
    (("animal",), ("动物",), "@animal", "shell, teddy bear, dragon, unicorn"),
    (("bird",), ("鸟类",), "chicken, penguin, bird, chick, duck, eagle, owl, turkey", "bat"),
    (("insect", "bug"), ("昆虫",), "bee, caterpillar, butterfly, ladybug, ant", "spider, scorpion, snail"),
    (("plant",), ("植物",), "@plant", "@food"),
    (
        ("flower", "flowers"),
        ("花", "花朵", "鲜花"),
        "tulip, rose, sunflower, cherry blossom, bouquet",
        "four leaf clover",
    ),
    (("food",), ("食物", "吃的"), "@food", "milk, coffee, wine, cocktail, beer, mushroom"),
    (
        ("fruit",),
        ("水果",),
        "grapes, watermelon, orange, lemon, banana, pineapple, apple, pear, peach, cherries, strawberry, kiwi",
        "tomato, avocado",
    ),
    (
        ("vegetable", "vegetables"),
        ("蔬菜",),
        "eggplant, potato, carrot, corn, cucumber, tomato",
        "hot pepper, avocado, mushroom, jack-o-lantern",
    ),
    (("drink", "drinks"), ("饮料", "喝的"), "coffee, wine, cocktail, beer, milk", ""),
    (
        ("dessert", "sweets"),
        ("甜点", "甜品"),
        "ice cream, doughnut, cookie, birthday cake, cake, chocolate, candy, lollipop",
        "honey, croissant, @food",
    ),
    (("vehicle",), ("交通工具",), "@vehicle", "flying saucer, shopping cart"),
    (("building",), ("建筑", "建筑物"), "house, school, hospital, castle, church", "bridge, tent, ferris wheel"),
    (("weather",), ("天气",), "sun, cloud, rain, thunderstorm, rainbow, snowflake, lightning, tornado", "@weather"),
    (
        ("sport", "sports"),
        ("运动", "体育"),
        "@sport",
        "bicycle, sneaker, dice, game controller, jigsaw puzzle, dart board, trophy, medal",
    ),
    (
        ("ball",),
        ("球", "球类"),
        "soccer ball, basketball, american football, baseball, tennis ball, volleyball",
        "billiards, bowling, table tennis, badminton, earth, balloon",
    ),
    (
        ("musical instrument", "instrument"),
        ("乐器",),
        "guitar, piano, violin, trumpet, drum",
        "bell, microphone, headphones",
    ),
    (("music",), ("音乐",), "guitar, piano, violin, trumpet, drum, microphone, headphones", "palette, radio, bell"),
    (
        ("clothes", "clothing"),
        ("衣服", "服装"),
        "t-shirt, jeans, dress",
        "necktie, socks, top hat, sneaker, high heels, glasses",
    ),
    (("shoes",), ("鞋", "鞋子"), "sneaker, high heels", "socks"),
    (("tool", "tools"), ("工具",), "hammer, wrench, scissors", "@household"),
    (("furniture",), ("家具",), "bed, couch", "door, bathtub, toilet"),
)
# in things.tsv's categories, but only borderline members of the groups made of them
_ATYPICAL = {"anchor", "traffic light", "shell", "palette", "milk", "coffee", "wine", "cocktail", "beer"}


def concept_groups(things: list[Thing]) -> list[ConceptGroup]:
    """All groups, with indexes in `things`."""
    groups = []
    for english, chinese, member_text, borderline_text in _GROUPS:
        members, borderline = _parse_things(member_text, things), _parse_things(borderline_text, things)
        if member_text.startswith("@"):
            borderline |= {index for index in members if things[index].english[0] in _ATYPICAL}
            members -= borderline
        groups.append(ConceptGroup(english, chinese, members, borderline - members))
    return groups


def _parse_things(text: str, things: list[Thing]) -> frozenset[int]:
    """Indexes of the things named, separated by commas, or of a category ("@food")."""
    index = {thing.english[0]: number for number, thing in enumerate(things)}
    parsed: set[int] = set()
    for name in filter(None, map(str.strip, text.split(","))):
        if name.startswith("@"):
            parsed |= {number for number, thing in enumerate(things) if thing.category == name[1:]}
        else:
            parsed.add(index[name])
    return frozenset(parsed)
