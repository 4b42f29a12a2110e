"""What the starter model knows: plain tables, no sentences.

A row of a table is a fact; how people ask for it stands in `places.py` and the like. Tables too long to read as code
are one string, a fact per field: `France/Paris` or `hot/cold`.
"""

from __future__ import annotations


def _pairs(table: str) -> list[tuple[str, str]]:
    """`a/b, c/d` over any number of lines -> [(a, b), (c, d)]."""
    rows = [row.strip().split("/") for row in table.replace("\n", " ").split(",") if row.strip()]
    return [(left, right) for left, right in rows]


_CAPITALS: dict[str, str] = {
    "Africa": """
        Algeria/Algiers, Angola/Luanda, Benin/Porto-Novo, Botswana/Gaborone, Burkina Faso/Ouagadougou,
        Burundi/Gitega, Cameroon/Yaoundé, Cape Verde/Praia, the Central African Republic/Bangui, Chad/N'Djamena,
        the Comoros/Moroni, the Democratic Republic of the Congo/Kinshasa, the Republic of the Congo/Brazzaville,
        Djibouti/Djibouti, Egypt/Cairo, Equatorial Guinea/Malabo, Eritrea/Asmara, Eswatini/Mbabane,
        Ethiopia/Addis Ababa, Gabon/Libreville, the Gambia/Banjul, Ghana/Accra, Guinea/Conakry,
        Guinea-Bissau/Bissau, Ivory Coast/Yamoussoukro, Kenya/Nairobi, Lesotho/Maseru, Liberia/Monrovia,
        Libya/Tripoli, Madagascar/Antananarivo, Malawi/Lilongwe, Mali/Bamako, Mauritania/Nouakchott,
        Mauritius/Port Louis, Morocco/Rabat, Mozambique/Maputo, Namibia/Windhoek, Niger/Niamey, Nigeria/Abuja,
        Rwanda/Kigali, São Tomé and Príncipe/São Tomé, Senegal/Dakar, Seychelles/Victoria, Sierra Leone/Freetown,
        Somalia/Mogadishu, South Africa/Pretoria, South Sudan/Juba, Sudan/Khartoum, Tanzania/Dodoma, Togo/Lomé,
        Tunisia/Tunis, Uganda/Kampala, Zambia/Lusaka, Zimbabwe/Harare""",
    "Asia": """
        Afghanistan/Kabul, Armenia/Yerevan, Azerbaijan/Baku, Bahrain/Manama, Bangladesh/Dhaka, Bhutan/Thimphu,
        Brunei/Bandar Seri Begawan, Cambodia/Phnom Penh, China/Beijing, Georgia/Tbilisi, India/New Delhi,
        Indonesia/Jakarta, Iran/Tehran, Iraq/Baghdad, Japan/Tokyo, Jordan/Amman, Kazakhstan/Astana,
        Kuwait/Kuwait City, Kyrgyzstan/Bishkek, Laos/Vientiane, Lebanon/Beirut, Malaysia/Kuala Lumpur,
        the Maldives/Malé, Mongolia/Ulaanbaatar, Myanmar/Naypyidaw, Nepal/Kathmandu, North Korea/Pyongyang,
        Oman/Muscat, Pakistan/Islamabad, the Philippines/Manila, Qatar/Doha, Saudi Arabia/Riyadh,
        Singapore/Singapore, South Korea/Seoul, Sri Lanka/Sri Jayawardenepura Kotte, Syria/Damascus,
        Tajikistan/Dushanbe, Thailand/Bangkok, Timor-Leste/Dili, Turkey/Ankara, Turkmenistan/Ashgabat,
        the United Arab Emirates/Abu Dhabi, Uzbekistan/Tashkent, Vietnam/Hanoi, Yemen/Sanaa""",
    "Europe": """
        Albania/Tirana, Andorra/Andorra la Vella, Austria/Vienna, Belarus/Minsk, Belgium/Brussels,
        Bosnia and Herzegovina/Sarajevo, Bulgaria/Sofia, Croatia/Zagreb, Cyprus/Nicosia, the Czech Republic/Prague,
        Denmark/Copenhagen, Estonia/Tallinn, Finland/Helsinki, France/Paris, Germany/Berlin, Greece/Athens,
        Hungary/Budapest, Iceland/Reykjavik, Ireland/Dublin, Italy/Rome, Latvia/Riga, Liechtenstein/Vaduz,
        Lithuania/Vilnius, Luxembourg/Luxembourg, Malta/Valletta, Moldova/Chișinău, Monaco/Monaco,
        Montenegro/Podgorica, the Netherlands/Amsterdam, North Macedonia/Skopje, Norway/Oslo, Poland/Warsaw,
        Portugal/Lisbon, Romania/Bucharest, Russia/Moscow, San Marino/San Marino, Serbia/Belgrade,
        Slovakia/Bratislava, Slovenia/Ljubljana, Spain/Madrid, Sweden/Stockholm, Switzerland/Bern, Ukraine/Kyiv,
        the United Kingdom/London, Vatican City/Vatican City""",
    "North America": """
        Antigua and Barbuda/St. John's, the Bahamas/Nassau, Barbados/Bridgetown, Belize/Belmopan, Canada/Ottawa,
        Costa Rica/San José, Cuba/Havana, Dominica/Roseau, the Dominican Republic/Santo Domingo,
        El Salvador/San Salvador, Grenada/St. George's, Guatemala/Guatemala City, Haiti/Port-au-Prince,
        Honduras/Tegucigalpa, Jamaica/Kingston, Mexico/Mexico City, Nicaragua/Managua, Panama/Panama City,
        Saint Kitts and Nevis/Basseterre, Saint Lucia/Castries, Saint Vincent and the Grenadines/Kingstown,
        Trinidad and Tobago/Port of Spain, the United States/Washington""",
    "South America": """
        Argentina/Buenos Aires, Bolivia/Sucre, Brazil/Brasília, Chile/Santiago, Colombia/Bogotá, Ecuador/Quito,
        Guyana/Georgetown, Paraguay/Asunción, Peru/Lima, Suriname/Paramaribo, Uruguay/Montevideo,
        Venezuela/Caracas""",
    "Oceania": """
        Australia/Canberra, Fiji/Suva, Kiribati/Tarawa, the Marshall Islands/Majuro, Micronesia/Palikir,
        Nauru/Yaren, New Zealand/Wellington, Palau/Ngerulmud, Papua New Guinea/Port Moresby, Samoa/Apia,
        the Solomon Islands/Honiara, Tonga/Nuku'alofa, Tuvalu/Funafuti, Vanuatu/Port Vila""",
}

CAPITALS: list[tuple[str, str]] = [pair for table in _CAPITALS.values() for pair in _pairs(table)]
"""(country, capital) of the countries whose capital is not in dispute; an article is kept: "the Netherlands"."""

CONTINENTS: list[tuple[str, str]] = [
    (country, continent) for continent, table in _CAPITALS.items() for country, _ in _pairs(table)
]

_ELEMENTS = """
    hydrogen/H, helium/He, lithium/Li, beryllium/Be, boron/B, carbon/C, nitrogen/N, oxygen/O, fluorine/F, neon/Ne,
    sodium/Na, magnesium/Mg, aluminium/Al, silicon/Si, phosphorus/P, sulfur/S, chlorine/Cl, argon/Ar, potassium/K,
    calcium/Ca, scandium/Sc, titanium/Ti, vanadium/V, chromium/Cr, manganese/Mn, iron/Fe, cobalt/Co, nickel/Ni,
    copper/Cu, zinc/Zn, gallium/Ga, germanium/Ge, arsenic/As, selenium/Se, bromine/Br, krypton/Kr, rubidium/Rb,
    strontium/Sr, yttrium/Y, zirconium/Zr, niobium/Nb, molybdenum/Mo, technetium/Tc, ruthenium/Ru, rhodium/Rh,
    palladium/Pd, silver/Ag, cadmium/Cd, indium/In, tin/Sn, antimony/Sb, tellurium/Te, iodine/I, xenon/Xe,
    caesium/Cs, barium/Ba, lanthanum/La, cerium/Ce, praseodymium/Pr, neodymium/Nd, promethium/Pm, samarium/Sm,
    europium/Eu, gadolinium/Gd, terbium/Tb, dysprosium/Dy, holmium/Ho, erbium/Er, thulium/Tm, ytterbium/Yb,
    lutetium/Lu, hafnium/Hf, tantalum/Ta, tungsten/W, rhenium/Re, osmium/Os, iridium/Ir, platinum/Pt, gold/Au,
    mercury/Hg, thallium/Tl, lead/Pb, bismuth/Bi, polonium/Po, astatine/At, radon/Rn, francium/Fr, radium/Ra,
    actinium/Ac, thorium/Th, protactinium/Pa, uranium/U, neptunium/Np, plutonium/Pu, americium/Am, curium/Cm,
    berkelium/Bk, californium/Cf, einsteinium/Es, fermium/Fm, mendelevium/Md, nobelium/No, lawrencium/Lr,
    rutherfordium/Rf, dubnium/Db, seaborgium/Sg, bohrium/Bh, hassium/Hs, meitnerium/Mt, darmstadtium/Ds,
    roentgenium/Rg, copernicium/Cn, nihonium/Nh, flerovium/Fl, moscovium/Mc, livermorium/Lv, tennessine/Ts,
    oganesson/Og"""

ELEMENTS: list[tuple[str, str]] = _pairs(_ELEMENTS)
"""(name, symbol) in the order of the atomic number, hydrogen first."""

OPPOSITES: list[tuple[str, str]] = _pairs("""
    hot/cold, big/small, up/down, left/right, fast/slow, high/low, bright/dark, young/old, good/bad, happy/sad,
    rich/poor, strong/weak, hard/soft, wet/dry, full/empty, open/closed, early/late, near/far, long/short,
    wide/narrow, thick/thin, heavy/light, loud/quiet, clean/dirty, true/false, begin/end,
    start/stop, push/pull, give/take, buy/sell, win/lose, laugh/cry, love/hate, war/peace, day/night, summer/winter,
    north/south, east/west, inside/outside, above/below, over/under, before/after, first/last, always/never,
    everything/nothing, everyone/nobody, more/less, most/least, many/few, add/subtract, multiply/divide,
    increase/decrease, rise/fall, arrive/leave, enter/exit, come/go, remember/forget, ask/answer, find/hide,
    build/destroy, create/delete, lock/unlock, connect/disconnect, accept/refuse, agree/disagree, allow/forbid,
    attack/defend, awake/asleep, alive/dead, birth/death, beautiful/ugly, brave/cowardly, tight/loose,
    calm/nervous, careful/careless, cheap/expensive, clever/stupid, common/rare, cruel/kind, deep/shallow,
    easy/difficult, even/odd, exact/vague, fresh/stale, friend/enemy, front/back, gain/loss, generous/stingy,
    gentle/rough, guilty/innocent, healthy/sick, heaven/hell, honest/dishonest, human/animal, import/export,
    include/exclude, internal/external, join/separate, junior/senior, legal/illegal, lazy/diligent, major/minor,
    male/female, man/woman, boy/girl, king/queen, mother/father, brother/sister, husband/wife, uncle/aunt,
    maximum/minimum, modern/ancient, natural/artificial, noisy/silent, obey/rebel, optimist/pessimist, parent/child,
    permanent/temporary, plural/singular, polite/rude, positive/negative, possible/impossible, private/public,
    proud/humble, pass/fail, raw/cooked, real/fake, regular/irregular, reward/punishment,
    safe/dangerous, save/spend, sharp/blunt, simple/complex, sink/float, smooth/bumpy, sour/sweet, stand/sit,
    straight/crooked, success/failure, teacher/student, tame/wild, together/apart, top/bottom,
    vertical/horizontal, victory/defeat, visible/invisible, warm/cool, wise/foolish, with/without, yes/no,
    zip/unzip, forward/backward, sunrise/sunset, morning/evening, borrow/lend,
    cause/effect, input/output, online/offline, upload/download, encrypt/decrypt, compress/expand""")

UNITS: list[tuple[str, str, int]] = [
    ("kilometre", "metres", 1000), ("metre", "centimetres", 100), ("centimetre", "millimetres", 10),
    ("metre", "millimetres", 1000), ("mile", "yards", 1760), ("mile", "feet", 5280), ("yard", "feet", 3),
    ("yard", "inches", 36), ("foot", "inches", 12), ("kilogram", "grams", 1000), ("gram", "milligrams", 1000),
    ("tonne", "kilograms", 1000), ("pound", "ounces", 16), ("stone", "pounds", 14), ("litre", "millilitres", 1000),
    ("litre", "centilitres", 100), ("gallon", "quarts", 4), ("gallon", "pints", 8), ("pint", "cups", 2),
    ("minute", "seconds", 60), ("hour", "minutes", 60), ("hour", "seconds", 3600), ("day", "hours", 24),
    ("day", "minutes", 1440), ("week", "days", 7), ("week", "hours", 168), ("fortnight", "days", 14),
    ("year", "months", 12), ("year", "weeks", 52), ("year", "days", 365), ("leap year", "days", 366),
    ("decade", "years", 10), ("century", "years", 100), ("millennium", "years", 1000), ("second", "milliseconds", 1000),
    ("byte", "bits", 8), ("kilobyte", "bytes", 1000), ("megabyte", "kilobytes", 1000),
    ("gigabyte", "megabytes", 1000), ("terabyte", "gigabytes", 1000), ("kibibyte", "bytes", 1024),
    ("dozen", "items", 12), ("gross", "items", 144), ("score", "items", 20), ("full circle", "degrees", 360),
    ("right angle", "degrees", 90), ("kilowatt", "watts", 1000), ("megawatt", "kilowatts", 1000),
    ("euro", "cents", 100), ("dollar", "cents", 100), ("hectare", "square metres", 10000),
    ("square kilometre", "hectares", 100),
]  # fmt: skip
"""(one of these, is so many of those, how many)."""

DAYS: list[str] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

MONTHS: list[tuple[str, int]] = [
    ("January", 31), ("February", 28), ("March", 31), ("April", 30), ("May", 31), ("June", 30), ("July", 31),
    ("August", 31), ("September", 30), ("October", 31), ("November", 30), ("December", 31),
]  # fmt: skip
"""(month, its days in a common year)."""

ORDINALS: list[str] = [
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"
]  # fmt: skip

COMMANDS: dict[str, str] = {
    "hearth chat": "opens a conversation with a model in the terminal",
    "hearth ask": "asks a model one question and prints the answer",
    "hearth pull": "downloads a model so that it can run on this device",
    "hearth list": "lists the models on this device",
    "hearth show": "shows the details of a model",
    "hearth rm": "removes a model from this device",
    "hearth compile": "compiles a model into a bundle for a device",
    "hearth bench": "measures how fast a model runs",
    "hearth eval": "measures how accurate a model is",
    "hearth doctor": "checks that everything on this device is ready for Hearth",
    "make demo": "compiles the starter model and asks it a question",
    "make test": "runs the tests of Hearth",
}
"""command -> what it does, as the end of a sentence that begins with the command."""
