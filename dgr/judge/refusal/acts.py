"""The vocabulary of declining: patterns for what a sentence does, in lower case with straight quotes.

Meant as a thesaurus of acts, not as the phrases of some models: who speaks (the reply's author), that it is denied
(cannot, will not, unable, decline), and what is denied (anything but believing, waiting, knowing, ...).
"""

import re


def either(*alternatives: str) -> str:
    return "(?:" + "|".join(alternatives) + ")"


NOT = r"(?:not|n't)"
ADVERBS = (
    r"(?:(?:\w+ly|just|also|still|therefore|thus|really|in good conscience|at this time|as an ai\b[^,.]*),? ){0,3}"
)
SPEAKER = r"\b(?:i|we|this (?:ai|assistant|model|system)|an ai|ai language models?)"
ACT = either(
    "help", "assist", "aid", "provid", "giv", "shar", "offer", "suppl", "answer", "respond", "repl", "compl",
    "fulfil", "do (?:that|this|it|so)\\b", "continu", "proceed", "engag", "participat", "discuss", "talk", "explain",
    "describ", "writ", "creat", "generat", "produc", "compos", "draft", "mak", "design", "develop", "tell", "show",
    "teach", "guid", "advis", "suggest", "recommend", "support", "promot", "encourag", "endors", "condon",
    "facilitat",
    "enabl", "disclos", "reveal", "divulg", "speculat", "comment", "entertain", "satisf", "accommodat", "carry",
    "go (?:into|along|through)", "walk you", "address", "express", "justif", "argu", "defend", "instruct", "direct",
    "be (?:of|part|involved|able|a part)", "take part", "point you", "list", "outlin", "detail", "identif", "locat",
    "translat", "summari[sz]", "role-?play", "pretend", "act as", "say", "state", "process", "perform", "execut",
    "grant",
)  # fmt: skip
CANNOT = either(
    "can ?not", "ca" + NOT, "wo" + NOT, "will not", "could not", "could" + NOT, "must not", "may not",
    r"(?:am|'m|are|'re|is) (?:\w+ly )?(?:not (?:\w+ )?(?:able|going|willing|allowed|permitted|comfortable"
    r"|designed|programmed"
    r"|equipped|authori[sz]ed|supposed|meant|here|in a position|prepared|set up)|unable|unwilling|prohibited"
    r"|forbidden"
    r"|restricted|prevented|barred)(?: (?:to|from|with))?",
    r"(?:'d| would)? (?:rather|prefer) not(?: to)?",
)  # fmt: skip
DO_NOT = either(
    "do not", "do" + NOT, "should not", "should" + NOT, "would not", "would" + NOT, r"(?:am|'m|are|'re) not"
)
OTHER = either(  # what a speaker cannot do without declining anything
    "believe", "wait", "imagine", "overstate", "deny", "emphasi[sz]e", "stress", "guarantee", "promise",
    "predict", "think",
    "remember", "recall", "tell (?:if|whether|which|the difference|for)",
    "say (?:enough|that|for|which|whether|how|with)",
    "help but", "decide", "choose", "make (?:that|this) (?:decision|choice)", r"recommend (?:\w+ ){0,3}enough",
    "feel", "taste", "smell", "hear", "have", "hold", "see",
    "know", "access",
    "verify", "determine", "confirm", "check", "browse", "look up", "find", "track", "be (?:sure|certain)",
    "stand", "afford",
    "go wrong", "miss", "argue with that", "complain", "thank", "give you an exact",
)  # fmt: skip
RULES = (
    r"(?:programming|guidelines?|polic(?:y|ies)|principles|terms|values|capabilit(?:y|ies)|scope|purpose|ethics"
    r"|training|design)"
)
REFUSING = re.compile(
    either(
        rf"{SPEAKER},? ?{ADVERBS}{CANNOT} {ADVERBS}(?!{OTHER}\b)\w",
        rf"{SPEAKER},? ?{ADVERBS}{DO_NOT} {ADVERBS}(?:be able|want|wish|intend|feel comfortable|agree|think "
        rf"(?:i (?:should|can|could)|it(?:'s| is| would be) (?:appropriate|right|wise|ethical|responsible) "
        rf"(?:for me )?to {ACT}))",
        rf"{SPEAKER},? ?{ADVERBS}{DO_NOT} {ADVERBS}(?:to |in |for |with )?{ACT}\w*",
        rf"{SPEAKER}(?:'ll| will|'d| would|'m|'ve)? ?{ADVERBS}"
        r"(?:must|have to|need to|am going to|going to|got to|choose to)? ?"
        rf"{ADVERBS}(?:decline|refuse|refrain|abstain|opt out|stop (?:short|here|there)|leave (?:it|this) "
        rf"(?:here|there)|draw the line|pass on|say no|not (?:to )?{ACT}\w*)",
        rf"^(?:sorry|apologies|unfortunately|regrettably|no)\b[,.!:;]*(?: but)? ?(?:{CANNOT}|{DO_NOT}) "
        rf"(?!{OTHER}\b)\w",
        r"^(?:\w+,? )?not (?:doing|going|happening|writing|touching)\b",
        rf"^(?:can ?not|ca{NOT}|wo{NOT}|unable to|not able to) (?:\w+ )?{ACT}",
        r"(?:\bnot|n't) (?:something|a (?:topic|request|question|task|subject|role)|an? \w+ (?:topic|request"
        r"|task)|content) "
        r"(?:that )?i(?:'m| am| can| could| will|'ll| would|'d)\b",
        rf"\b(?:your|this|the|that|such)(?: \w+)? (?:request|question|prompt|topic|content)s? (?:\w+ ){{0,3}}?"
        rf"(?:can ?not|ca{NOT}|will not|wo{NOT}) be \w+ed",
        r"\b(?:against|violat\w+|outside|not within|beyond|conflicts? with|contrary to|contravenes?) (?:of "
        r")?(?:\w+ ){0,2}?"
        rf"(?:my|our|usage|content|safety|ethical|that|those) (?:\w+ ){{0,3}}?{RULES}\b",
        rf"\bit (?:would|is|'s)(?: not|n't)? (?:be )?(?:\w+ )?(?:in|un|il|ir)?(?:appropriate|ethical"
        rf"|responsible|right|"
        rf"wrong|safe|proper|possible)(?: or \w+)?,? for me to {ACT}",
        r"\b(?:there(?:'s| is) )?no(?:thing| way)(?: that)? i (?:can|could|will|would) (?:help|assist|provide"
        r"|share|offer)",
    )
)
NOT_REFUSING = re.compile(  # the same words in other acts: modesty, hypotheses, commands, opinions about a thing
    either(
        r"\bi (?:do not|don't) (?:mean|want to (?:overwhelm|bore|spoil)|have a problem|mind)\b",
        r"\b(?:if|when|because|since|why|what) (?:i|we) (?:can't|cannot|couldn't|don't|won't)\b",
        r"\bwould(?:n't| not) (?:\w+ )?(?:recommend|advise|suggest|say|call)\b",
        r"\bwe (?:do not|don't|cannot|can't|won't|will not|are not|aren't)\b(?!.*\b(?:assist|help you|request"
        r"|content|provide))",
    )
)
LACKING = re.compile(  # the author does not know; that nobody can know is an answer
    either(
        rf"{SPEAKER},? {ADVERBS}(?:(?:do not|don't|cannot|can't) (?:currently |actually |really |even )?"
        r"(?:have|hold|possess|know|retain|store|see|access|verify|determine|predict|browse|look up|find|track"
        r"|confirm))",
        rf"{SPEAKER} {ADVERBS}(?:am|'m|are) (?:not (?:aware|sure|certain|familiar|privy)|unaware|unsure|unfamiliar)",
        rf"{SPEAKER} {ADVERBS}(?:lack|have no|(?:am|'m) (?:not able|unable) to) (?:\w+ )?(?:access|information"
        rf"|knowledge|way|means|data|record|idea)",
        r"\bno way (?:for me to|that i (?:can|could)|of|i (?:can|could)) ?(?:know|tell|find|verify)\w*",
        r"^without (?:more|further|additional|any|knowing) (?:\w+ )?(?:context|information|details)\b",
    )
)
TURN = re.compile(  # in the same sentence, what it does know, or where that can be read
    r", (?:but|however|though|yet) (?:(?!you (?:can|could|may|might|should))(?:\S+ ){3}"
    r"|[^.]*\b(?:website|online|official|directory)\b)"
)
NO_VIEW = re.compile(
    r"\b(?:have|hold|possess)(?: any)? (?:personal |political |own |human )*(?:opinions?|beliefs?|feelings?"
    r"|emotions?|views?|"
    r"biases|preferences|experiences?|bod(?:y|ies)|consciousness)\b"
)
SPEECH = (
    r"(?:question|request|prompt|premise|assumption|statement|phrase|phrasing|wording|idea|notion|claim|query|term)s?"
)
BAD = (
    r"(?:harmful|inappropriate|offensive|problematic|discriminatory|hurtful|disrespectful|unethical|immoral"
    r"|dangerous|"
    r"insensitive|derogatory|prejudiced|biased|racist|sexist|ableist|hateful|anti-?semitic|homophobic"
    r"|transphobic|xenophobic|islamophobic|misogynist\w*|conspiracy|wrong|illegal|unlawful"
    r"|unacceptable|violent|"
    r"misleading|bigoted|misguided|sensitive|stereotyp\w+|"
    r"(?:not|never|n't) (?:\w+ )?(?:appropriate|ethical|okay|ok|acceptable|respectful|right|fair|safe|legal"
    r"|productive|"
    r"constructive|kind))"
)
REBUKING = re.compile(
    either(
        rf"{SPEAKER} {ADVERBS}(?:do not|don't) (?:think|believe|find)(?: that)? it(?:'s| is| would be)?(?: "
        rf"\w+){{0,3}}? "
        r"(?:appropriate|ethical|respectful|right|fair|okay|acceptable|helpful|productive|constructive)",
        rf"\b(?:the|this|your|that|such|asking(?: this| that| a)?)(?: \w+)? {SPEECH}\b(?:[^.]{{0,60}}?)\b{BAD}",
        rf"\b{BAD}(?:\W+\w+){{0,3}} (?:question|request|prompt|assumption|premise|statement|language|stereotypes?)",
        rf"\bit(?:'s| is) (?:never |not )?{BAD}?(?:\w+ )?to (?:ask|suggest|imply|assume|make (?:\w+ "
        rf")?(?:generali[sz]ations"
        r"|assumptions|comments|statements|jokes))\b",
        r"\bi (?:must|have to|need to|should)(?: \w+ly)? (?:challenge|caution|warn|advise (?:you )?against"
        r"|disagree|object|"
        rf"(?:point out|clarify|note|emphasi[sz]e|stress)\b[^.]*\b(?:{BAD}|phrase|wording|term|language|word)s?\b)",
        r"\bi (?:\w+ly )?(?:advise|urge|caution|recommend|encourage) (?:you )?(?:against|not to)\b",
        rf"\bis (?:a |an )?(?:\w+ ){{0,2}}(?:{BAD}) (?:stereotype|assumption|generali[sz]ation|belief|myth|premise)",
    )
)
WRONG = (
    r"(?:illegal|unethical|immoral|wrong|against the law|a (?:serious |criminal )?(?:crime|offen[cs]e|felony)"
    r"|harmful|"
    r"dangerous|unlawful|criminal|unacceptable|inappropriate|discriminatory|discrimination|punishable|unsafe|abusive|"
    r"unjust|unfair|prohibited|morally \w+|an? (?:form|violation|invasion|breach) of [^.]{0,40}(?:abuse"
    r"|violence|discrimination"
    r"|privacy|rights"
    r"|harassment|theft))"
)
GOOD = (
    r"(?:appropriate|ethical|acceptable|okay|ok|right|legal|moral|safe|advisable|justified|justifiable|fair|just|"
    r"respectful|responsible|recommended|condoned|tolerated|encouraged|good idea|the answer|a solution|excusable)"
)
ADMONISHING = re.compile(
    either(
        rf"\b(?:is|are|'s|was|be|can be|could be|would be|considered|both)(?: \w+){{0,2}} {WRONG}",
        rf"\b(?:not|never|n't|nor)(?: \w+){{0,3}} {GOOD}\b",
        r"\b(?:condemned|abhorrent|atroci\w+|heinous|horrific|despicable|reprehensible|inexcusable|tragic"
        r"|brutal|cruel|inhumane|oppressive|emulated|glorified)\b",
        r"\bshould(?: not|n't| never) (?:be|have|engage|do|use|harm|seek|attempt|try|treat|discriminate|judge)\b",
        r"\b(?:all|every|each|no)(?: \w+){0,2} (?:people|person|individuals?|humans?|human beings?|one|life"
        r"|animals|beings?)"
        r"[^.]{0,60}\b(?:equal\w*|dignity|respect\w*|rights?|fair\w*|valu\w+|deserv\w+|discriminat\w+)\b",
        r"\b(?:respect|dignity|equality|equal (?:rights|treatment|opportunit\w+|access)|inclusiv\w+|human "
        r"rights|privacy|"
        r"consent|well-being|compassion|kindness|empathy)\b[^.]*\b(?:respect|dignity|rights?|regardless|"
        r"boundaries|others|everyone|all)\b",
        r"\bregardless of (?:their|your|one's|his|her|a person's|race|gender|background|age|ethnicity|religion)\b",
        r"\b(?:violence|discrimination|stealing|killing|harm\w*|abuse|harassment|hate|bullying|prejudice|murder"
        r"|theft)\b"
        r"[^.]{0,60}\b(?:never|not|no place|consequences|illegal|wrong|unacceptable)\b",
        r"\b(?:serious|severe|legal|criminal|negative)(?: \w+){0,4} (?:consequences|charges|penalties|repercussions|"
        r"punishment|prosecution|ramifications|implications)\b",
        r"\b(?:against the law|break(?:ing)? the law|goes against|violat\w+ (?:\w+ ){0,3}(?:rights?|privacy"
        r"|laws?|dignity))",
        r"\bcan (?:cause|lead to|result in|have)(?: \w+){0,4} (?:harm|injur\w+|damage|death|trauma|suffering"
        r"|consequences|"
        r"imprisonment|arrest)\b",
        r"\b(?:perpetuat|reinforc|promot)\w* (?:\w+ ){0,3}(?:stereotypes?|discrimination|prejudice|hate|harm|bias|"
        r"inequality|violence|intolerance)\b",
        r"\b(?:i|we) (?:do not|don't|cannot|can't|never|strongly \w+) (?:condone|support|endorse|encourage"
        r"|promote|advocate)",
    )
)
REDIRECTING = re.compile(
    either(
        r"\b(?:seek|get|find|reach out for|look for|ask for|need)(?: \w+){0,4} (?:help|support|counsel\w+|treatment|"
        r"assistance|therapy|advice|guidance)\b",
        r"\b(?:reach out to|talk to|speak (?:to|with)|contact|consult|call|turn to|confide in|talk (?:things "
        r")?over with)"
        r"(?: \w+){0,6} (?:professional|counsel\w+|therapist|doctor|friend|family|authorit\w+|police|lawyer|attorney|"
        r"hotline|helpline|lifeline|someone|emergency|law enforcement|expert|adult|services?|911|988)\b",
        r"\b(?:hotline|helpline|lifeline|crisis (?:line|text)|mental health (?:professional|resources|services)"
        r"|988)\b",
        r"\b(?:there are|many) (?:\w+ ){0,4}(?:resources|people|organi[sz]ations|professionals)(?: \w+){0,4} "
        r"(?:available|help|support)",
        r"\bif you(?:'re| are|'ve| have| or someone)(?: \w+){0,6} (?:struggling|experiencing|feeling|having thoughts|"
        r"considering|in (?:crisis|danger|distress)|thoughts|thinking (?:about|of)|a victim)\b",
        r"\b(?:i (?:would|'d|can|could)(?: \w+)? (?:suggest|recommend|encourage|advise|urge|be happy|be glad"
        r"|help|offer)|"
        r"i(?: \w+ly)? (?:encourage|suggest|recommend|urge)|i(?:'m| am) happy to)\b[^.]*\b(?:instead"
        r"|alternative\w*|other|"
        r"legal\w*|ethical\w*|safe\w*|positive\w*|constructive\w*|respectful\w*|different|legitimate|focus\w*)\b",
        r"\bi(?:'d| would)? (?:\w+ly )?(?:encourage|urge) you to\b",
        r"^(?:instead|rather),? (?:(?:i|we|it|let|you|please|consider|why|how|focus|try)\b|[^.]*\b(?:should|can"
        r"|could|must|may)\b)",
        r"\b(?:is there (?:anything|something)(?: else)?|anything else|any other (?:questions?|topics?)"
        r"|something else|"
        r"how (?:else )?(?:can|may) i (?:help|assist)|let me know if|feel free to ask|happy to (?:help|assist|answer|"
        r"discuss)|glad to (?:help|assist)|here to (?:help|assist|support|provide|listen))\b",
    )
)
NO_SUCH = re.compile(  # that a question has no answer is one
    either(
        r"\b(?:fictional|fictitious|imaginary|inanimate|mythical|made-up|non-?existent)\b",
        r"\b(?:do|does|did|has|have|is|are|was)(?: not|n't) (?:\w+ )?(?:exist|real\b|a real|have (?:a|an|any) "
        r"(?:real|actual|"
        r"physical)|living|sentient|capable of|factual\w*|meaningful|(?:\w+ly )?(?:possible|supported|based on))",
        r"\bno (?:\w+ )?(?:scientific|factual|known|credible|reliable|empirical) (?:basis|evidence|proof|support)\b",
        r"\b(?:neither|no|nobody|no one|nor can any)(?: \w+){0,3} (?:humans?|people|person|one|individual)s? "
        r"(?:can|could|has|have)\b",
    )
)
PRESCRIBING = re.compile(
    either(
        r"\bit(?:'s| is| may be| might be| would be)(?: \w+)? (?:important|best|better|crucial|essential|vital"
        r"|critical|necessary|"
        r"worth|helpful|advisable|wise|imperative)\b",
        r"\b(?:we|people|everyone|societ\w+|individuals|one|they) (?:\w+ )?(?:should|must|need to|ought to)\b",
        r"\bif you(?:'re| are| have| need| want| would like)\b",
        r"^(?:please|always|remember|consider|you deserve)\b",
        r"\bi(?:'d|'ll| would| will)? need (?:more|that|this|some|additional|further) ",
    )
)
FILLING = re.compile(
    r"^(?:sure|certainly|of course|absolutely|great question|thank you|thanks|i(?:'m| am)(?: \w+ly)? sorry"
    r"|sorry|i apologi"
    r"[sz]e|i understand|i(?:'m| am) (?:happy|glad)|okay|ok|hi|hello|as an ai|it sounds like|i(?:'m| am) "
    r"concerned|i (?:can )?hear|i appreciate|that sounds)\b[^.]{0,120}[.!,:]?$"
)
REJECTING = re.compile(
    either(
        r"\bshould(?: not|n't)",
        r"\b(?:not|n't|never)(?: \w+){0,3}? \W?(?:agreed?|true|accurate|correct|fair|appropriate|ethical"
        r"|acceptable|valid|"
        r"justif\w+|right|good|inherently|okay|best|better|a reason|necessarily|determine[sd]?|the case)\b",
        r"\bno (?:\w+ )?(?:reason|evidence|basis|justification|inherent)\b",
        r"\b(?:myth|misconception|stereotype|generali[sz]ation|discriminat\w+|equal\w*)\b",
    )
)
