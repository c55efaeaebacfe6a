"""A made-up catalogue of a few thousand plausible products, always the same, for `demo` and tests."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

import msgspec

SEED: Final = 20_261_123
N_PRODUCTS: Final = 3_000
FIRST_DAY: Final = date(2021, 1, 1)
LAST_DAY: Final = date(2026, 6, 30)


class Category(msgspec.Struct, frozen=True):
    """One category of products.

    kinds: name of the product -> what it is for.
    traits: properties that a product may have.
    prices: lowest and highest.
    """

    name: str
    brands: tuple[str, ...]
    kinds: dict[str, str]
    traits: tuple[str, ...]
    prices: tuple[float, float]


CATEGORIES: Final = (
    Category(
        "Audio",
        ("Sonara", "Wavecrest", "Tonfall", "Lumivox"),
        {
            "wireless headphones": "listening on the move without a cable",
            "noise cancelling earbuds": "quiet on trains and planes",
            "bluetooth speaker": "music in the kitchen or by the lake",
            "studio microphone": "clear voice for calls and podcasts",
            "soundbar": "fuller sound from a television",
        },
        ("30 hour battery", "USB-C charging", "splash proof", "foldable", "low latency mode"),
        (19, 399),
    ),
    Category(
        "Computers",
        ("Norvik", "Axiom", "Pellar", "Kitebyte"),
        {
            "laptop 14 inch": "work and study away from the desk",
            "gaming laptop": "fast graphics for demanding games",
            "mini PC": "a small computer behind the screen",
            "wireless mouse": "precise pointing for long days",
            "mechanical keyboard": "typing with a firm, even feel",
            "27 inch monitor": "room for two documents side by side",
        },
        ("16 GB memory", "1 TB SSD", "quiet fan", "backlit keys", "aluminium body"),
        (15, 1899),
    ),
    Category(
        "Printing",
        ("Inkwell", "Papyra", "Druckhaus"),
        {
            "laser printer": "crisp black text at the office",
            "photo printer": "borderless pictures at home",
            "toner cartridge black": "thousands of sharp pages",
            "ink cartridge set": "bright colours for photographs",
            "document scanner": "paper turned into searchable files",
        },
        ("duplex", "high yield", "wireless printing", "recycled housing"),
        (12, 549),
    ),
    Category(
        "Kitchen",
        ("Herdwerk", "Mokka & Co", "Basilio", "Coldhaus"),
        {
            "espresso machine": "coffee with a fine crema",
            "stand mixer": "dough for bread and cakes",
            "chef knife 20 cm": "clean cuts through vegetables and meat",
            "cast iron pan": "steady heat for searing",
            "kettle": "water at the right temperature for tea",
            "food storage set": "leftovers that stay fresh",
        },
        ("dishwasher safe", "stainless steel", "15 bar pump", "temperature control", "two year guarantee"),
        (9, 699),
    ),
    Category(
        "Outdoor",
        ("Fjellgard", "Trailnote", "Granit"),
        {
            "two person tent": "light shelter for summer tours",
            "down sleeping bag": "warm nights below freezing",
            "hiking backpack 40 l": "several days of luggage carried well",
            "trekking poles": "relief for the knees downhill",
            "headlamp": "both hands free in the dark",
        },
        ("waterproof", "ultralight", "recycled nylon", "adjustable", "storm tested"),
        (14, 459),
    ),
    Category(
        "Shoes",
        ("Marisol", "Stride", "Velden"),
        {
            "running shoes": "soft landing on asphalt",
            "hiking boots": "hold on wet rock and mud",
            "leather sneakers": "a plain shoe for every day",
            "sandals": "airy steps in hot weather",
            "winter boots": "dry and warm feet in snow",
        },
        ("wide fit", "Gore membrane", "vegan", "removable insole", "reflective"),
        (29, 249),
    ),
    Category(
        "Clothing",
        ("Hallund", "Cotone", "Nordlys"),
        {
            "rain jacket": "dry through a shower and out again",
            "merino sweater": "warmth that does not scratch",
            "linen shirt": "cool in the office in July",
            "denim jeans": "sturdy trousers that age well",
            "wool socks": "comfort inside boots",
        },
        ("organic cotton", "slim fit", "machine washable", "two pockets", "made in Portugal"),
        (9, 229),
    ),
    Category(
        "Toys",
        ("Klotzli", "Brightwood", "Pippa"),
        {
            "wooden train set": "tracks that grow with the child",
            "board game for families": "an evening for two to six players",
            "building blocks": "towers, houses and whatever comes to mind",
            "plush bear": "a friend to fall asleep with",
            "science kit": "first experiments at the kitchen table",
        },
        ("from 3 years", "from 8 years", "FSC wood", "100 pieces", "no batteries needed"),
        (8, 129),
    ),
    Category(
        "Garden",
        ("Gruenspan", "Terra Nova", "Rosmarin"),
        {
            "cordless hedge trimmer": "straight hedges without a cable",
            "garden hose 25 m": "water to the last bed",
            "raised bed": "vegetables at the height of the hands",
            "solar path lights": "a lit way without wiring",
            "pruning shears": "clean cuts on roses and fruit trees",
        },
        ("rust proof", "18 V battery", "UV resistant", "easy assembly"),
        (11, 329),
    ),
    Category(
        "Home",
        ("Lumen Atelier", "Stillwater", "Eikenhof"),
        {
            "desk lamp": "even light on the page",
            "robot vacuum": "clean floors while nobody is at home",
            "cotton bed linen": "smooth nights all year",
            "bookshelf": "five boards for books and plants",
            "air purifier": "less dust and pollen in the bedroom",
        },
        ("dimmable", "solid oak", "HEPA filter", "app control", "quiet mode"),
        (17, 599),
    ),
    Category(
        "Bicycles",
        ("Rueda", "Kettenwerk", "Pedalare"),
        {
            "city bike": "upright riding to work",
            "bike helmet": "protection that is hardly felt",
            "bike lock": "peace of mind at the station",
            "front light": "seen and seeing at night",
            "pannier bag": "groceries on the rack",
        },
        ("8 gears", "USB rechargeable", "size M", "waterproof", "steel frame"),
        (13, 1299),
    ),
    Category(
        "Beauty",
        ("Alba Verde", "Maren", "Onda"),
        {
            "face cream": "moisture for dry skin",
            "sunscreen SPF 50": "light protection for the whole family",
            "electric toothbrush": "thorough cleaning in two minutes",
            "hair dryer": "quick drying at gentle heat",
            "hand soap": "clean hands that stay soft",
        },
        ("fragrance free", "vegan", "travel size", "refillable", "dermatologically tested"),
        (4, 189),
    ),
)

COLOURS: Final = ("black", "white", "grey", "navy blue", "forest green", "red", "sand", "silver")
LINES: Final = ("Classic", "Pro", "Lite", "Plus", "Studio", "Air", "One", "Max", "Eco", "Urban")


def sample_catalogue(n_products: int = N_PRODUCTS, seed: int = SEED) -> Iterator[bytes]:
    """Yield lines of NDJSON, always the same for the same arguments."""
    rng = random.Random(seed)
    for number in range(1, n_products + 1):
        yield msgspec.json.encode(_product(number, rng)) + b"\n"


def _product(number: int, rng: random.Random) -> dict[str, object]:
    category = rng.choice(CATEGORIES)
    kind, purpose = rng.choice(list(category.kinds.items()))
    brand, line, colour = rng.choice(category.brands), rng.choice(LINES), rng.choice(COLOURS)
    model = f"{brand[:2].upper()}{rng.randint(100, 999)}"
    traits = rng.sample(category.traits, k=2)
    low, high = category.prices
    price = round(low * (high / low) ** rng.random()) - 0.01
    n_reviews = int(rng.paretovariate(0.9)) - 1
    released = FIRST_DAY + timedelta(days=rng.randrange((LAST_DAY - FIRST_DAY).days))
    return {
        "id": f"P{number:05d}",
        "title": f"{brand} {line} {kind}, {colour}",
        "brand": brand,
        "category": category.name,
        "model": model,
        "description": f"The {brand} {line} {kind}: {purpose}. With {traits[0]} and {traits[1]}, in {colour}.",
        "features": traits,
        "colour": colour,
        "price": price,
        "rating": round(min(5.0, max(1.0, rng.gauss(4.1, 0.6))), 1) if n_reviews else 0.0,
        "reviews": n_reviews,
        "stock": rng.choice((0, 1, 3, 8, 20, 50, 120)),
        "released": released.isoformat(),
    }
