"""Vocabulary and sentence templates of the generated dump. All sentences are invented."""

DISEASES = [
    "measles", "flu", "polio", "mumps", "whooping cough", "rubella", "tetanus", "chickenpox", "HPV",
    "meningitis", "hepatitis B", "Ebola",
]  # fmt: skip
VACCINES = [
    "MMR", "flu shot", "booster", "polio vaccine", "HPV vaccine", "tetanus jab", "vaccine", "vaccination",
    "measles vaccine", "immunization",
]  # fmt: skip
PEOPLE = [
    "my kids", "my daughter", "our children", "my son", "grandma", "my students", "all the nurses here",
    "my neighbours", "the whole class",
]  # fmt: skip
PLACES = [
    "California", "Kenya", "Ohio", "Disneyland", "Texas", "Lagos", "our school", "the clinic",
    "Minnesota", "London", "São Paulo", "Nairobi",
]  # fmt: skip
TIMES = [
    "today", "this morning", "last week", "in 2015", "this winter", "at 3pm", "on Monday",
    "before school starts", "again", "this year",
]  # fmt: skip
OUTLETS = [
    "CNN", "the county", "WHO", "the health department", "NPR", "a new study", "the ministry", "Reuters",
    "local news", "the CDC",
]  # fmt: skip
HASHTAGS = {
    1: ["#VaccinesWork", "#vaccinate", "#GetVaccinated", "#publichealth", "#ThankYouNurses"],
    0: ["#measles", "#health", "#news", "#flu", "#vaccines", "#polio"],
    -1: ["#CDCwhistleblower", "#novaccines", "#MyChoice", "#vaccineinjury"],
}
EMOJI = {
    1: ["💉", "👍", "❤️", "😊", "👩‍⚕️", "🙌🏽", "💪"],
    0: ["📰", "🤔", "💉", "🇰🇪", "🏥"],
    -1: ["😡", "👎", "🙄", "😷", "💀"],
}
TEMPLATES = {
    1: [
        "So glad {people} got the {vaccine} {time}, it saves lives",
        "Please get {people} the {vaccine}. {disease} is no joke",
        "Proud of {place}: nearly everyone has had the {vaccine} now",
        "Science works &amp; so does the {vaccine}. Protect {people}!",
        "Thank you to the nurses in {place} who gave {people} the {vaccine} {time}",
        "Because of the {vaccine}, {disease} is nearly gone. Amazing",
        "Just got my {vaccine} {time}, didn’t hurt at all. Go get yours",
        "Vaccinate {people}. “Herd immunity” protects the babies who can’t get the {vaccine}",
        "Grateful that {people} are safe from {disease} thanks to the {vaccine}",
        "If you love {people}, vaccinate. It's that simple",
    ],
    0: [
        "{outlet}: new cases of {disease} in {place} {time}",
        "{outlet} reports on the {vaccine} supply in {place} <url>",
        "Free {vaccine} clinic in {place} {time}, bring your card",
        "Does anybody know where {people} can get the {vaccine} {time}?",
        "What is the difference between the {vaccine} and the {vaccine2}?",
        "{outlet} will discuss {disease} &amp; the {vaccine} {time} <url>",
        "Judge in {place} hears a case about the {vaccine} {time}",
        "Map: where {disease} was seen {time}, from {outlet}",
        "Watching a documentary on {disease} with {people} {time}",
        "{disease} trial enters phase 2 in {place}, says {outlet}",
    ],
    -1: [
        "I will never give {people} the {vaccine}, they hide the truth",
        "The {vaccine} made {people} sick {time}. Don’t trust {outlet}",
        "Big pharma only wants money from the {vaccine}. Wake up",
        "My body my choice, no forced {vaccine} in {place}!",
        "{outlet} lies about the {vaccine} &amp; autism, what about the toxins",
        "Poison for {people}, that's what the {vaccine} is",
        "More kids hurt by the {vaccine} than by {disease}, nobody tells you",
        "They want to force the {vaccine} on {people}. Refuse it",
    ],
}
OPENINGS = [
    "", "", "", "", "RT @user: ", "<user> ", "RT <user>: ", "@user_1 ", "Wow. ", "OK so, ", "Honestly? ",
    ".@user ",
]  # fmt: skip
ENDINGS = [
    "", "", "", "", " <url>", " https://t.co/abc123", " ...", " via <user>", "\n<url>", " (thread)",
    ", just saying", " &lt;3", " “really”", '\n"quote of the day"',
]  # fmt: skip
