"""Things that partly match a query for another thing: a taxi shows a car, but a car is seldom a taxi."""

from __future__ import annotations

from tools.demo.pictograms import Thing

# queried thing -> {shown thing: grade}; the other way round the grade is lower
_GRADES = {
    "tree": {"pine tree": 0.8, "palm tree": 0.75, "christmas tree": 0.6},
    "pine tree": {"christmas tree": 0.6, "tree": 0.35},
    "christmas tree": {"pine tree": 0.3},
    "palm tree": {"tree": 0.2},
    "car": {"taxi": 0.7, "police car": 0.7},
    "taxi": {"car": 0.3},
    "police car": {"car": 0.25},
    "truck": {"fire engine": 0.5, "ambulance": 0.3},
    "cake": {"birthday cake": 0.8},
    "birthday cake": {"cake": 0.5},
    "bear": {"teddy bear": 0.5, "panda": 0.3, "koala": 0.15},
    "teddy bear": {"bear": 0.35},
    "train": {"high-speed train": 0.8, "locomotive": 0.7},
    "high-speed train": {"train": 0.5},
    "locomotive": {"train": 0.5},
    "ship": {"sailboat": 0.4, "speedboat": 0.45},
    "sailboat": {"ship": 0.2, "speedboat": 0.2},
    "speedboat": {"ship": 0.3, "sailboat": 0.15},
    "motorcycle": {"scooter": 0.5},
    "scooter": {"motorcycle": 0.45},
    "bird": {"chick": 0.5, "eagle": 0.7, "duck": 0.5, "owl": 0.6, "chicken": 0.4, "penguin": 0.3, "turkey": 0.3},
    "chicken": {"chick": 0.4, "turkey": 0.3},
    "chick": {"chicken": 0.35, "bird": 0.35, "duck": 0.2},
    "duck": {"chick": 0.2, "bird": 0.2},
    "rain": {"thunderstorm": 0.5, "cloud": 0.3},
    "cloud": {"rain": 0.6, "thunderstorm": 0.6},
    "thunderstorm": {"lightning": 0.4, "rain": 0.45},
    "lightning": {"thunderstorm": 0.5},
    "noodles": {"spaghetti": 0.5},
    "spaghetti": {"noodles": 0.4},
    "fish": {"blowfish": 0.6, "shark": 0.4},
    "blowfish": {"fish": 0.25},
    "meat": {"chicken leg": 0.6, "bacon": 0.5},
    "chicken leg": {"meat": 0.35},
    "candy": {"lollipop": 0.6, "chocolate": 0.3},
    "lollipop": {"candy": 0.3},
    "mountain": {"volcano": 0.5},
    "volcano": {"mountain": 0.3},
    "alarm clock": {"watch": 0.25},
    "watch": {"alarm clock": 0.25},
    "mouse": {"hamster": 0.3},
    "hamster": {"mouse": 0.3},
    "house": {"school": 0.25, "castle": 0.2, "church": 0.2, "hospital": 0.2},
    "wine": {"cocktail": 0.35},
    "cocktail": {"wine": 0.3},
    "medal": {"trophy": 0.2},
    "bouquet": {"rose": 0.3, "tulip": 0.3},
    "sneaker": {"high heels": 0.15},
    "whale": {"dolphin": 0.25},
    "dolphin": {"whale": 0.2},
    "turtle": {"snail": 0.05},
    "laptop": {"keyboard": 0.15},
    "goat": {"sheep": 0.25},
    "sheep": {"goat": 0.25},
    "wolf": {"dog": 0.25, "fox": 0.15},
    "dog": {"wolf": 0.3},
    "cat": {"tiger": 0.15},
    "pig": {"boar": 0.4},
    "boar": {"pig": 0.3},
    "sun": {"star": 0.1},
    "soccer ball": {"volleyball": 0.1},
    "ice cream": {"lollipop": 0.05},
}


def near_synonym_grades(things: list[Thing]) -> dict[tuple[int, int], float]:
    """(queried thing, shown thing) -> grade, 0 to 1, by their indexes in `things`."""
    index = {thing.english[0]: number for number, thing in enumerate(things)}
    return {(index[queried], index[shown]): grade for queried, row in _GRADES.items() for shown, grade in row.items()}
