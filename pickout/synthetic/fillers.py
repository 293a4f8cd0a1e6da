"""The words of captions that tell little: who, does what, where, and how a writer begins."""

from collections.abc import Mapping

Words = tuple[str, ...]

PEOPLE: Mapping[tuple[str, str], Words] = {
    ("man", "child"): ("boy", "little boy", "young boy", "child", "kid"),
    ("man", "young"): ("young man", "man", "guy", "young guy", "youth", "young male"),
    ("man", "adult"): ("man", "man", "guy", "male", "gentleman", "male pedestrian", "person"),
    ("man", "older"): ("older man", "elderly man", "old man", "senior man", "older gentleman"),
    ("woman", "child"): ("girl", "little girl", "young girl", "child", "kid"),
    ("woman", "young"): ("young woman", "girl", "woman", "young lady", "young female"),
    ("woman", "adult"): ("woman", "woman", "lady", "female", "female pedestrian", "person"),
    ("woman", "older"): ("older woman", "elderly woman", "old lady", "senior lady", "elderly lady"),
}

BUILDS: Mapping[str, Words] = {
    "slim": ("slim", "thin", "slender", "slightly built", "lean", "skinny"),
    "heavy": ("heavyset", "stout", "large", "heavily built", "stocky", "big", "broad", "chubby", "plump"),
}

OPENERS: Words = (
    "There is",
    "This is",
    "The picture shows",
    "The photo shows",
    "We can see",
    "In this image there is",
    "The image is of",
    "Here we see",
    "Shown here is",
    "Visible in the frame is",
    "The camera has captured",
    "The shot contains",
    "You can see",
    "One can make out",
    "A photograph of",
    "The subject is",
    "The scene features",
    "Captured here is",
)

WEARS: Words = (
    "is wearing", "is wearing", "is wearing", "wears", "wears", "is dressed in", "has on", "is clad in", "is in",
    "is attired in", "appears to be wearing", "can be seen wearing",
)  # fmt: skip
WEARS_TOO: Words = (
    "{he} also wears", "{he} is also wearing", "{he} has on", "this goes with", "the outfit is completed by",
    "further {he} wears", "to this {he} adds", "with it go",
)  # fmt: skip
WEARING: Words = ("wearing", "wearing", "wearing", "dressed in", "clad in", "in", "in", "donning", "sporting")
HAS: Words = ("has", "has", "has got", "is someone with", "is a person with")
HAVING: Words = ("with", "with", "with", "who has", "having")

POSES: Mapping[str, Words] = {
    "standing": (
        "standing",
        "standing still",
        "standing around",
        "standing there",
        "waiting",
        "stopping",
        "pausing",
        "lingering",
    ),
    "walking": (
        "walking",
        "walking along",
        "strolling",
        "taking a step",
        "walking by",
        "striding",
        "moving",
        "passing",
        "making {his} way",
    ),
    "running": ("running", "running along", "jogging", "hurrying along", "rushing", "sprinting"),
}

VIEWS: Mapping[str, Words] = {
    "front": ("facing the camera", "facing forward", "seen from the front", "turned towards the camera"),
    "side": ("seen from the side", "shown in profile", "facing sideways", "turned to one side"),
    "back": ("seen from behind", "facing away", "seen from the back", "with {his} back to the camera"),
}  # fmt: skip
HEADINGS: Mapping[str, Words] = {
    "front": ("towards the camera", "toward us", "in the direction of the camera"),
    "side": ("past the camera", "across the picture", "from one side to the other"),
    "back": ("away from the camera", "away from us", "into the distance"),
}

PLACES: Mapping[str, Words] = {
    "wall": ("in front of a wall", "next to a wall", "by a wall", "near the side of a building"),
    "shop front": ("in front of a shop", "past a shop", "outside a store", "by a shop window", "beside a storefront"),
    "pavement": ("on the pavement", "on the sidewalk", "along the footpath", "down the walkway", "on paved ground"),
    "road": ("on the road", "on the street", "by the road", "at the roadside"),
    "crossing": ("at a crossing", "on a crosswalk", "on a pedestrian crossing"),
    "park": ("in a park", "near some grass", "in a grassy area", "near trees and lawn"),
    "corridor": ("in a corridor", "in a hallway", "inside a building", "indoors", "along a passage"),
    "square": ("in a square", "in an open place", "on a plaza", "on open ground"),
}

ARMS: Mapping[str, Words] = {
    "pocket": ("with {his} {side} hand in {his} pocket", "with one hand in a pocket"),
    "hip": ("with {his} {side} hand on {his} hip", "with one hand on the hip"),
    "raised": ("with {his} {side} arm raised", "with one arm lifted"),
    "bent": ("with {his} {side} arm bent", "with one elbow bent"),
}

EVERYDAY: Words = (
    "casual", "simple", "ordinary", "nice", "neat", "everyday", "comfortable", "stylish", "modern", "classic", "basic",
    "regular", "practical", "typical", "fashionable", "unremarkable", "normal",
    "smart", "inconspicuous", "well-fitting", "standard", "tidy",
)  # fmt: skip

ENDINGS: Words = (
    "{He} appears to be on {his} way somewhere.",
    "{He} does not seem to notice the camera at all.",
    "{He} is out and about.",
    "{He} may well be on {his} way home.",
    "{He} could be any pedestrian.",
    "As far as one can judge, this is all.",
    "{He} seems to be going about {his} day.",
    "{He} looks like an ordinary passer-by.",
    "{He} is the person that the picture is about.",
    "There is nothing else that stands out.",
    "Otherwise {he} looks quite normal.",
    "It is hard to say more about {him}.",
    "The rest of the scene is nothing special.",
    "{He} has probably been there for a while.",
    "Nothing more can be told from this photograph.",
)
