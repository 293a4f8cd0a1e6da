"""The words of captions for clothes, hair and things: synonyms, the plainest word first."""

from collections.abc import Mapping

Words = tuple[str, ...]


def _words(lines: Mapping[str, str]) -> Mapping[str, Words]:
    return {key: tuple(line.split(", ")) for key, line in lines.items()}


COLOURS: Mapping[str, Words] = _words(
    {
        "black": "black, jet black, solid black, coal black, pitch black",
        "white": "white, pure white, plain white, bright white, snow white",
        "grey": "grey, gray, medium grey, ash grey, mid-grey, stone grey",
        "dark grey": "dark grey, dark gray, charcoal, charcoal grey, slate grey, anthracite, graphite, gunmetal",
        "navy": "navy, navy blue, dark blue, deep blue, midnight blue, dark navy, indigo",
        "blue": "blue, bright blue, royal blue, cobalt blue, medium blue, azure, strong blue",
        "light blue": "light blue, pale blue, sky blue, baby blue, powder blue, soft blue, pastel blue, ice blue",
        "red": "red, bright red, scarlet, crimson, vivid red, cherry red, tomato red",
        "maroon": "maroon, burgundy, dark red, wine red, deep red, claret, oxblood, bordeaux",
        "pink": "pink, light pink, rose, pastel pink, rosy, soft pink, salmon pink",
        "purple": "purple, violet, plum, dark purple, aubergine, grape, deep purple",
        "green": "green, bright green, grass green, emerald, leaf green, kelly green, medium green",
        "olive": "olive, olive green, army green, khaki green, moss green, military green, olive drab, drab green",
        "teal": "teal, turquoise, blue-green, dark turquoise, greenish blue, petrol blue, sea green, cyan",
        "yellow": "yellow, bright yellow, golden yellow, mustard, canary yellow, sunny yellow, gold",
        "orange": "orange, bright orange, vivid orange, tangerine, pumpkin, neon orange",
        "brown": "brown, dark brown, chocolate brown, chestnut brown, coffee brown, cocoa, mocha",
        "beige": "beige, tan, khaki, sand-coloured, camel, fawn, sandy, buff",
        "cream": "cream, off-white, ivory, cream-coloured, ecru, eggshell, vanilla, creamy white",
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
        "t-shirt": (
            "t-shirt, tee, crew-neck t-shirt, jersey top, tee shirt, shirt, top, round-neck t-shirt, tee-shirt, tshirt"
        ),
        "shirt": (
            "shirt, button-up shirt, button-down shirt, collared shirt, dress shirt, oxford shirt, "
            "collar shirt, button-front shirt, business shirt"
        ),
        "blouse": "blouse, top, ladies' top, ladies' shirt",
        "sweater": (
            "sweater, jumper, knitted pullover, woollen sweater, crewneck, pullover, knitted sweater, "
            "knit top, knitted jumper, sweatshirt, woolly jumper, warm pullover"
        ),
        "hoodie": (
            "hoodie, hoody, hooded sweatshirt, hooded top, sweatshirt with a hood, hooded sweater, "
            "sweatshirt with hood, hooded jumper"
        ),
        "polo": "polo, polo shirt, collared t-shirt, polo top, golf shirt, sport shirt",
        "tank top": (
            "tank top, singlet, tank, strappy top, vest top, muscle shirt, sleeveless top, sleeveless shirt, undershirt"
        ),
        "dress": "dress, woman's dress, one-piece dress, frock, gown, shift dress",
        "jacket": (
            "jacket, light-weight jacket, zipped jacket, zip-up jacket, casual jacket, windbreaker, "
            "bomber jacket, sports jacket, track jacket, anorak"
        ),
        "coat": (
            "coat, outdoor coat, woollen coat, overcoat, winter coat, long coat, topcoat, greatcoat, peacoat, "
            "cold-weather coat"
        ),
        "cardigan": "cardigan, knitted cardigan, button-front sweater, knit jacket, cardigan sweater, woolly cardigan",
        "vest": "vest, sleeveless jacket, gilet, body warmer, waistcoat",
        "blazer": "blazer, suit jacket, sport coat, tailored jacket, formal jacket, business jacket",
        "puffer jacket": (
            "puffer jacket, bubble jacket, down jacket, padded jacket, quilted jacket, puffy coat, "
            "puffy jacket, quilted coat, down coat, ski jacket"
        ),
        "raincoat": "raincoat, rain jacket, waterproof coat, rain coat, mackintosh, slicker, rainproof jacket",
        "trousers": (
            "trousers, pants, chinos, cloth trousers, full-length pants, slacks, straight trousers, "
            "long pants, cotton trousers, dress pants, cotton pants, straight-leg pants, work trousers"
        ),
        "jeans": (
            "jeans, denims, jean pants, denim pants, denim trousers, denim jeans, five-pocket jeans, jeans trousers"
        ),
        "shorts": "shorts, short pants, casual shorts, bermudas, bermuda shorts, summer shorts",
        "skirt": "skirt, cloth skirt, a-line skirt, flared skirt",
        "leggings": (
            "leggings, tight pants, stretch pants, skinny pants, close-fitting leggings, spandex pants, "
            "yoga pants, stretchy leggings"
        ),
        "trainers": (
            "trainers, sneakers, sports shoes, running shoes, tennis shoes, athletic shoes, jogging shoes, "
            "gym shoes, canvas shoes, runners, sport sneakers"
        ),
        "boots": "boots, leather boots, lace-up boots, ankle boots, sturdy boots, booties, work boots, hiking boots",
        "sandals": "sandals, open shoes, open-toed sandals, summer sandals, strappy sandals, slippers, flip-flops",
        "heels": "heels, high heels, high-heeled shoes, pumps, stilettos, court shoes, heeled shoes",
        "leather shoes": (
            "leather shoes, dress shoes, shoes, formal shoes, smart shoes, oxfords, brogues, loafers, office shoes"
        ),
        "flats": "flats, flat shoes, ballet flats, slip-on shoes, ballerinas, low shoes",
        "backpack": "backpack, daypack, school bag, rucksack, knapsack, back pack, bookbag, schoolbag, bag pack",
        "handbag": "handbag, pocketbook, lady's bag, purse, hand bag, small bag, ladies' handbag, hand purse",
        "tote": "tote, tote bag, large open bag, shopper, cloth bag, canvas tote",
        "shoulder bag": (
            "shoulder bag, messenger bag, satchel, sling bag, bag, side bag, crossbody bag, bag with a strap"
        ),
        "suitcase": (
            "suitcase, rolling suitcase, trolley case, wheeled suitcase, travel case, luggage, roller bag, "
            "travel bag, baggage"
        ),
        "phone": (
            "phone, handset, telephone, cell phone, mobile phone, mobile, smartphone, cellphone, cellular phone, device"
        ),
        "open umbrella": "open umbrella, umbrella, opened umbrella, brolly, parasol",
        "closed umbrella": (
            "closed umbrella, folded umbrella, furled umbrella, rolled umbrella, umbrella that is closed"
        ),
        "bottle": "bottle, water bottle, drinking bottle, plastic bottle, flask, drinks bottle",
        "cup": "cup, paper cup, coffee cup, takeaway cup, disposable cup, hot drink",
        "shopping bag": "shopping bag, plastic bag, carrier bag, grocery bag, store bag, supermarket bag",
        "book": "book, paperback, notebook, textbook, novel",
        "cap": "cap, baseball cap, peaked cap, ball cap, trucker cap, sports cap, snapback",
        "beanie": "beanie, knit hat, knitted cap, woolly hat, winter hat, stocking cap, skullcap",
        "brimmed hat": "brimmed hat, hat, fedora, hat with a brim, trilby, felt hat",
        "sun hat": "sun hat, wide-brimmed hat, summer hat, sunhat, floppy hat, broad hat",
        "headscarf": "headscarf, head scarf, scarf over the head, head covering, kerchief, shawl over the hair",
        "helmet": "helmet, safety helmet, hard hat, crash helmet, protective helmet",
        "scarf": "scarf, neck scarf, scarf around the neck, wrapped scarf, muffler, shawl",
        "socks": "socks, stockings, tights, hosiery, hose, legwear",
        "belt": "belt, waist belt, belt at the waist",
        "beard": "beard, facial hair",
        "glasses": "glasses, eyeglasses, spectacles, specs, eye glasses",
        "sunglasses": "sunglasses, dark glasses, shades, sun glasses, tinted glasses",
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
    (
        "boots", "bottoms", "chinos", "denims", "eyeglasses", "flats", "glasses", "heels", "jeans", "leggings", "pants",
        "pumps", "sandals", "shades", "shoes", "shorts", "slacks", "sneakers", "socks", "spectacles", "stockings",
        "sunglasses", "tights", "trainers", "trousers", "bermudas", "ballerinas", "booties", "brogues", "flip-flops",
        "loafers", "oxfords", "runners", "slippers", "specs", "stilettos",
    )
)  # fmt: skip
"""Nouns without "a", by their last word."""

MASS = frozenset(
    (
        "clothing",
        "eyewear",
        "footgear",
        "footwear",
        "hair",
        "headgear",
        "hosiery",
        "outerwear",
        "something",
        "wear",
        "hose",
        "legwear",
        "luggage",
        "baggage",
    )
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
