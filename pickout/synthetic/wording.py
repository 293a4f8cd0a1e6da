"""The words of captions for clothes, hair and things: synonyms, the plainest word first."""

from collections.abc import Mapping

Words = tuple[str, ...]


def _words(lines: Mapping[str, str]) -> Mapping[str, Words]:
    return {key: tuple(line.split(", ")) for key, line in lines.items()}


COLOURS: Mapping[str, Words] = _words(
    {
        "black": "black, jet black, solid black",
        "white": "white, pure white, plain white",
        "grey": "grey, gray, medium grey, ash grey",
        "dark grey": "dark grey, dark gray, charcoal, charcoal grey, slate grey",
        "navy": "navy, navy blue, dark blue, deep blue, midnight blue",
        "blue": "blue, bright blue, royal blue, cobalt blue",
        "light blue": "light blue, pale blue, sky blue, baby blue, powder blue",
        "red": "red, bright red, scarlet, crimson",
        "maroon": "maroon, burgundy, dark red, wine red, deep red",
        "pink": "pink, light pink, rose, pastel pink",
        "purple": "purple, violet, plum, dark purple",
        "green": "green, bright green, grass green, emerald",
        "olive": "olive, olive green, army green, khaki green, moss green",
        "teal": "teal, turquoise, blue-green, dark turquoise, greenish blue",
        "yellow": "yellow, bright yellow, golden yellow, mustard",
        "orange": "orange, bright orange, vivid orange, tangerine",
        "brown": "brown, dark brown, chocolate brown, chestnut brown",
        "beige": "beige, tan, khaki, sand-coloured, camel",
        "cream": "cream, off-white, ivory, cream-coloured, ecru",
    }
)

HAIR_COLOURS: Mapping[str, Words] = _words(
    {
        "black": "black, jet black, raven",
        "dark brown": "dark brown, dark, deep brown, brunette",
        "brown": "brown, chestnut, light brown",
        "blond": "blond, blonde, fair, golden",
        "red": "red, reddish, ginger, auburn",
        "grey": "grey, gray, silver, greying",
        "white": "white, snowy, silvery white",
    }
)

VAGUE_COLOURS: Mapping[str, str] = {
    **dict.fromkeys(("black", "dark grey", "navy", "maroon", "brown", "olive", "purple", "dark brown"), "dark"),
    **dict.fromkeys(("white", "cream", "beige", "light blue", "pink", "blond"), "light"),
    **dict.fromkeys(("red", "orange", "yellow", "green", "blue", "teal"), "bright"),
}

KINDS: Mapping[str, Words] = _words(
    {
        "t-shirt": "t-shirt, tee, crew-neck t-shirt, jersey top, tee shirt, shirt, top",
        "shirt": "shirt, button-up shirt, button-down shirt, collared shirt, dress shirt",
        "blouse": "blouse, top, ladies' top, ladies' shirt",
        "sweater": "sweater, jumper, knitted pullover, woollen sweater, crewneck, pullover, knitted sweater, knit top",
        "hoodie": "hoodie, hoody, hooded sweatshirt, hooded top, sweatshirt with a hood, hooded sweater",
        "polo": "polo, polo shirt, collared t-shirt, polo top",
        "tank top": "tank top, singlet, tank, strappy top",
        "dress": "dress, woman's dress, one-piece dress, frock, gown",
        "jacket": "jacket, light-weight jacket, zipped jacket, zip-up jacket, casual jacket, windbreaker",
        "coat": "coat, outdoor coat, woollen coat, overcoat, winter coat, long coat, topcoat",
        "cardigan": "cardigan, knitted cardigan, button-front sweater, knit jacket",
        "vest": "vest, sleeveless jacket, gilet, body warmer, waistcoat",
        "blazer": "blazer, suit jacket, sport coat, tailored jacket",
        "puffer jacket": "puffer jacket, bubble jacket, down jacket, padded jacket, quilted jacket, puffy coat",
        "raincoat": "raincoat, rain jacket, waterproof coat, rain coat",
        "trousers": "trousers, pants, chinos, cloth trousers, full-length pants, slacks, straight trousers, long pants",
        "jeans": "jeans, denims, jean pants, denim pants, denim trousers, denim jeans",
        "shorts": "shorts, short pants, casual shorts",
        "skirt": "skirt, cloth skirt, a-line skirt, flared skirt",
        "leggings": "leggings, tight pants, stretch pants, skinny pants, close-fitting leggings",
        "trainers": "trainers, sneakers, sports shoes, running shoes, tennis shoes, athletic shoes, jogging shoes",
        "boots": "boots, leather boots, lace-up boots, ankle boots, sturdy boots",
        "sandals": "sandals, open shoes, open-toed sandals, summer sandals",
        "heels": "heels, high heels, high-heeled shoes, pumps",
        "leather shoes": "leather shoes, dress shoes, shoes, formal shoes, smart shoes",
        "flats": "flats, flat shoes, ballet flats, slip-on shoes",
        "backpack": "backpack, daypack, school bag, rucksack, knapsack, back pack, bookbag",
        "handbag": "handbag, pocketbook, lady's bag, purse, hand bag, small bag",
        "tote": "tote, tote bag, large open bag, shopper",
        "shoulder bag": "shoulder bag, messenger bag, satchel, sling bag, bag",
        "suitcase": "suitcase, rolling suitcase, trolley case, wheeled suitcase, travel case",
        "phone": "phone, handset, telephone, cell phone, mobile phone, mobile, smartphone, cellphone",
        "open umbrella": "open umbrella, umbrella, opened umbrella",
        "closed umbrella": "closed umbrella, folded umbrella, furled umbrella",
        "bottle": "bottle, water bottle, drinking bottle, plastic bottle",
        "cup": "cup, paper cup, coffee cup, takeaway cup",
        "shopping bag": "shopping bag, plastic bag, carrier bag, grocery bag",
        "book": "book, paperback, notebook",
        "cap": "cap, baseball cap, peaked cap, ball cap",
        "beanie": "beanie, knit hat, knitted cap, woolly hat, winter hat",
        "brimmed hat": "brimmed hat, hat, fedora, hat with a brim",
        "sun hat": "sun hat, wide-brimmed hat, summer hat, sunhat",
        "headscarf": "headscarf, head scarf, scarf over the head, head covering",
        "helmet": "helmet, safety helmet, hard hat, crash helmet",
        "scarf": "scarf, neck scarf, scarf around the neck, wrapped scarf",
        "socks": "socks, stockings, tights, hosiery",
        "belt": "belt, waist belt, belt at the waist",
        "beard": "beard, facial hair",
        "glasses": "glasses, eyeglasses, spectacles",
        "sunglasses": "sunglasses, dark glasses, shades",
    }
)

VAGUE_KINDS: Mapping[str, Words] = _words(
    {
        "hair": "hair",
        "beard": "beard",
        "glasses": "glasses, something over the eyes, eyewear",
        "headwear": "hat, headgear, something on the head",
        "scarf": "cloth around the neck, scarf",
        "outer": "jacket, outer layer, coat, outerwear",
        "upper": "top, upper garment, shirt, upper clothing",
        "lower": "bottoms, lower garment",
        "belt": "belt",
        "socks": "socks, leg wear",
        "shoes": "shoes, footwear, footgear",
        "bag": "bag, carry bag, bag of some sort",
        "carried": "object, small item, thing, something",
    }
)

PLURAL = frozenset(
    ("boots", "bottoms", "chinos", "denims", "eyeglasses", "flats", "glasses", "heels", "jeans", "leggings", "pants")
    + ("pumps", "sandals", "shades", "shoes", "shorts", "slacks", "sneakers", "socks", "spectacles", "stockings")
    + ("sunglasses", "tights", "trainers", "trousers")
)
"""Nouns without "a", by their last word."""

MASS = frozenset(
    ("clothing", "eyewear", "footgear", "footwear", "hair", "headgear", "hosiery", "outerwear", "something", "wear")
)
"""Nouns without "a" and without plural, by their last word."""

SLEEVES_BEFORE: Mapping[str, Words] = _words(
    {
        "none": "sleeveless",
        "short": "short-sleeved, short sleeve, short-sleeve",
        "three-quarter": "three-quarter-sleeved, elbow-sleeved",
        "long": "long-sleeved, long sleeve, long-sleeve",
    }
)

SLEEVES_AFTER: Mapping[str, Words] = _words(
    {
        "none": "without sleeves, with no sleeves, that leaves {his} arms bare",
        "short": "with short sleeves, that has short sleeves, with sleeves that end above the elbow",
        "three-quarter": "with three-quarter sleeves, with sleeves that end below the elbow",
        "long": "with long sleeves, that has long sleeves, with sleeves down to the wrist",
    }
)

LENGTHS_BEFORE: Mapping[str, Words] = _words(
    {
        "thigh": "short, mini",
        "knee": "knee-length",
        "calf": "midi, calf-length",
        "ankle": "long, ankle-length, full-length",
    }
)

LENGTHS_AFTER: Mapping[str, Words] = _words(
    {
        "thigh": "that ends above the knee, that stops at mid-thigh",
        "knee": "that reaches {his} knees, that ends at the knee, down to the knees",
        "calf": "that reaches {his} calves, that ends below the knee",
        "ankle": "that reaches {his} ankles, down to the ankles",
    }
)

PATTERNS_BEFORE: Mapping[str, Words] = _words(
    {
        "striped": "striped, stripy",
        "checked": "checked, checkered, plaid, chequered",
        "dotted": "polka-dot, dotted, spotted, polka dot",
        "floral": "floral, flowered, flower-print, flowery",
        "colour block": "two-tone, colour-block, two-coloured",
        "camouflage": "camouflage, camo, military-print",
    }
)

PATTERNS_AFTER: Mapping[str, Words] = _words(
    {
        "striped": "with {second} stripes, striped with {second}, with stripes of {second}, with {second} lines",
        "checked": "with {second} checks, with a {second} check pattern, checked with {second}",
        "dotted": "with {second} dots, with {second} polka dots, covered in {second} spots",
        "floral": "with {second} flowers, with a {second} flower print, with a floral print in {second}",
        "colour block": "with a {second} section, that is partly {second}, with a block of {second}",
        "camouflage": "with a camouflage pattern, in an army pattern, with a {second} camouflage pattern",
    }
)

LOGO: Words = (
    "with a {second} logo on the chest",
    "with a {second} print on the front",
    "with a {second} design on the chest",
    "with something {second} printed on it",
    "with a {second} graphic across the front",
    "with a {second} emblem on the front",
)
