"""The words that decide: abbreviations and what may follow them, for many languages at once.

An abbreviation is of one kind, and the kind says what the next word decides. A text's language is
never asked for: the lists share one table, and a word that is common in one language and an
abbreviation in another is listed with a capital, or where only a number after it joins.
"""

from __future__ import annotations

import re
from enum import Enum


class Kind(Enum):
    """What a full stop after the word means."""

    JOINS = "always goes on"
    """`Dr. Smith`, `e.g. Paris`, `z. B. Berlin`."""
    COUNTS = "goes on with a number, a numeral or a small letter"
    """`Fig. 3`, `Vol. II`, `pág. 12`."""
    COUNTS_ONLY = "goes on with a number, and is a plain word otherwise"
    """`No. 5`, but `No. Sorry.`"""
    WEEKDAYS = "goes on with a date or a small letter, and is a plain word otherwise"
    """`sam. 5 mai`, but `Il vit dans la mer. 3 poissons`."""
    NAMES = "ends the sentence before a word that opens sentences"
    """`Apple Inc. Chief Cook`, but `Apple Inc. The company`."""
    ENDS = "ends the sentence before a capital, unless that is a day, a month or a time zone"
    """`etc. Then`, `5 p.m. He left`, but `5 p.m. Tuesday`."""
    MEASURES = "goes on with a number, else as `ENDS`"
    """`Jan. 5`, `Mon. Feb. 3`, `5 ft. 10 in.`"""


def _words(text: str) -> list[str]:
    return text.split()


_BY_KIND: dict[Kind, str] = {
    Kind.JOINS: """
        dr dra drs mr mrs ms messrs mx prof Profs profa Rev Hon Gen Col Maj Capt capt Cpt Cmdr
        Lt Sgt Cpl Pvt Adm Brig Gov Sen Rep Reps Sens Pres Supt Det Insp Amb Fr Msgr Mt Ft vs
        e.g i.e eg ie viz cf resp dept govt intl natl assn asst assoc esp
        hr dipl gez med rer nat jur habil Ing Dipl-Ing Mag bzw z.b z.t d.h u.a u.u u.e i.d.r
        i.a i.s o.ä o.g s.o s.u v.a EE vgl ggf evtl bspw sog frdl zzgl bzgl einschl gegr
        geb verh gest ehem abzgl allg insb insbes betr Hl Frl Hrn österr u.co M MM Mme Mlle Mgr
        p.ex par.ex c.-à-d c.à.d bd env av.j apr.j boul sra srta sres sras dña exmo exma excmo
        excma ilmo ilma pdte pdta p.ej ad_es por_ej
        avda av sto sta gral lic arq sig sigg sig.ra sig.na dott dott.ssa prof.ssa avv
        geom spett egr p.es dhr mevr mw bijv bv d.w.z o.a m.b.t t.o.v i.p.v m.i.v e.d t.a.v
        i.v.m z.o.z t.ex bl.a d.v.s dvs fr.o.m t.o.m f.eks f.x eks jf pga mht ifm ift kl np tj
        tzw tzn m.in ul mgr inż dr.hab św ks por zob wg např tzv popř č rndr mudr judr phdr т.е
        т.к т.н напр см ср им ул пр просп пл пер наб г-н г-жа акад проф доц инж гл рис табл вул
        див тобто δρ κ κα κος π.χ δηλ βλ dl dna d-l d-na Doç Sn örn bkz ifj özv ld ún esim tp
        ths डॉ श्री प्रो श्रीमती कु د أ م Fa Abt lfd z.zt z.hd
    """,
    Kind.COUNTS: """
        ca circa reps nos fig vol vols pp pg pgs ch chap chaps sec secs sect para paras eq eqs ex
        ref refs est
        temp avg max misc univ bldg mtg mgmt attn addl mfg mfr conf tab app appx vers ver ext
        tel op ap mwst ust nr nrn nrs abb abs kap Bd BD aufl tel zi num núm nums núms pág págs párr
        pag cap caps
        fasc tít pagg tél réf éd bât apt n.ro blz hfdst sid str poz rozdz ryc godz стр рис гл ст ок
        разд тел кв корп
        obr çev sf hlm
    """,
    Kind.COUNTS_ONLY: "no art figs nº n.º n° p s n",
    Kind.WEEKDAYS: "lun mar mer jeu ven sam dim mié jue vie sáb dom",
    Kind.NAMES: """
        inc ltd co corp plc llc cie bros jr sr esq st ste ph.d phd m.d b.a m.a b.sc m.sc b.s m.s
        j.d ll.b d.d.s m.b.a d.phil u.s u.s.a u.k u.n e.u u.s.s.r u.a.e D.C l.a n.y p.o a.k.a
        mio mrd tsd ave blvd rd hwy pkwy ln mts gmbh e.v a.g k.g ee.uu s.a s.l s.r.l s.p.a b.v n.v
        Doc
        sp.z.o.o d.o.o incl excl inkl exkl aprox approx Min Std h.c j.-c
    """,
    Kind.ENDS: """
        etc a.m p.m am pm b.c a.d b.c.e c.e a.c d.c av.j.-c apr.j.-c usw usf uvm
        u.v.m u.dgl o.dgl u.s.w o.j v.chr n.chr jh jhd kg km cm mm mg ml kb mb gb ud uds vd vds ecc
        eccetera enz e.a osv o.s.v m.fl m.m mfl itd itp tys mln mld zł gr atd apod tis kčs n.l
        př.n.l т.д т.п тыс млн млрд коп чел гг мин сек др EST κ.λπ κ.ά κτλ κλπ vb stb dll
        dsb dst
    """,
    Kind.MEASURES: """
        Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Okt Nov Dec Dez Dic Déc Mon Tue Tues Wed Thu
        Thur Thurs Fri Sat Sun ene févr janv sett lbs lb oz tbsp tbs tsp qt gal yd yds sq ft cu
        et_al hrs mins secs kr mph rpm min std руб грн
    """,
}

KINDS: dict[str, Kind] = {
    word.replace("_", " "): kind for kind in reversed(Kind) for word in _words(_BY_KIND[kind])
}
"""The kind of each abbreviation, without its last full stop; a capital counts where it is given."""

OPENERS_OF_SENTENCES = frozenset(
    _words("""
        the he she it they we you i this that these those there here his her their our my its
        your but and so if when while after before although because since then now what who why
        how where which no yes please let however meanwhile moreover also once during some many
        most all each both every another thanks thank hope good great okay ok sure well yeah hi
        hello hey wow oh do does did is are was were can could would should have has nobody
        niemand nadie nessuno personne ninguém nothing everyone someone everybody in on at for with
        as by from to an a not only even
        according today yesterday tomorrow next later finally first second third instead still maybe
        perhaps until shall will may might must let see check try remember note keep one two three
        such several few its il elle ils elles le la les un une des
        ce cette ces nous vous je mais puis ensuite el los las una él ella ellos ellas es pero
        su sus este esta luego después nunca se der die das er sie es wir ihr ich ein eine dann
        danach aber und heute morgen hier wer was lo gli lui lei loro poi ma è non o os as um
        uma ele ela eles elas depois mas ela de het een hij zij ze wij ik dat dit daarna maar он
        она они мы вы я это потом но и там здесь его её on ona oni to potem ale nie han hun hon
        det den vi jeg jag de ja
    """)
)
"""Words that open sentences more often than names, in small letters."""

CALENDAR = frozenset(
    _words("""
        monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs
        fri sat sun january february march april may june july august september october november
        december jan feb mar apr jun jul aug sep sept oct nov dec est edt et pst pdt pt cst cdt
        ct mst mdt mt gmt utc bst cet cest ist jst aest eastern pacific central montag dienstag
        mittwoch donnerstag freitag samstag sonntag januar jänner februar märz mai juni juli
        oktober dezember
    """)
)
"""Days, months and time zones, in small letters."""

BEFORE_CALENDAR = CALENDAR | {"a.m", "p.m", "am", "pm", "m"}
"""Abbreviations that a day, a month or a time zone goes on after."""

MONTHS = frozenset(
    _words("""
        januar jänner februar märz april mai juni juli august september oktober november
        dezember january february march may june july october december maj juni juli
    """)
)
"""Months that an ordinal number with a full stop may stand before, in small letters."""

IN_DATES = frozenset(
    _words("""
        janvier février mars avril mai juin juillet août septembre octobre novembre décembre janv
        févr avr juil sept oct nov déc enero febrero marzo abril mayo junio julio agosto septiembre
        octubre noviembre diciembre ene feb mar abr may jun jul ago dic de à a au al et y h
    """)
)
"""What follows the number of a French or Spanish date with a weekday, or an hour."""

BEFORE_ORDINALS = re.compile(
    "am|im|der|die|das|den|dem|des|zum|zur|vom|beim|bis|ab|seit|und|oder|vor|nach|i|det|och|og|"
    "(?:k?ein|[mds]ein|ihr|unser|dies|jed|jen|welch|manch)(?:e[mnrs]?)?|eu(?:er|re[mnrs]?)"
)
"""Words that an ordinal such as `3.` follows, in German and the Nordic languages."""

OWNER = re.compile(r"[A-ZÄÖÜ][a-zäöüß]+(?:[a-hj-rtv-zäöüß]s|[sxzß]['’]|['’]s)")
"""A German name in the genitive, before an ordinal too: `Beethovens 9. Sinfonie`."""

ENGLISH = frozenset(
    _words("""
        the of to and is are i you we he she it my your our their his its this that these for with
        from by at on has have had be been not or as if
    """)
)
"""Frequent words of sentences in which a name with an `s` is no genitive: `I have Windows 9.`"""

BEFORE_LETTERS = re.compile(
    r"\b(?:answer|option|choice|plan|grade|vitamin|type|class|section|group|team|letter|hepatitis|"
    r"appendix|exhibit|point|part|model|level|room|gate|row|column|block|degrees|grad|celsius|"
    r"category|terminal|platform|zone|phase|question|step|version|variable|size|antwort|gruppe|"
    r"opción|respuesta|réponse|lettre|buchstabe|letra|lettera|opzione|risposta)\b",
    re.IGNORECASE,
)
"""Words after which a single letter is a letter, not the initial of a name."""

BEFORE_NAMES = frozenset(_words("by with and from von mit und de di da par por para di van"))
"""Words after which a single letter is the initial of a name."""

SPEECH_VERBS = frozenset(
    _words("""
        said says say asked asks ask cried cries shouted shouts replied replies whispered yelled
        answered exclaimed murmured muttered screamed called sighed laughed wondered insisted
        demanded added repeated announced snapped growled gasped thought told continued inquired
        sagte fragte rief antwortete meinte dit demanda cria répondit dijo preguntó gritó
        respondió disse chiese gridò rispose perguntou gritou respondeu zei vroeg riep sa
        frågade сказал сказала спросил спросила powiedział zapytał zapytała
    """)
)
"""Verbs that tell who spoke, after a quoted question or call."""

CHATTY = frozenset(
    _words("""
        i i'm i've i'll i'd i’m i’ve i’ll i’d me my you you're you’re you, your thank thanks
        sorry love happy great welcome ich dir dich danke je moi merci yo gracias te grazie eu
        obrigado obrigada я спасибо jag tack ik
    """)
)
"""What sentences hold that people put an emoji after."""

ADDRESSING = CHATTY | frozenset(
    _words("""
        we us our your yours let's du dein deine deinen deiner euch ihr ihnen wir uns tu te toi
        vous votre vos nous ti tú usted ustedes nos quieres você vocês ci vi ты тебе вы вам вас
        нам ci ciebie pan pani jij jou u dig er sen sana siz size
    """)
)
"""What questions hold that are put to the listener, who gets an emoji with them."""

SHORT_WORDS = OPENERS_OF_SENTENCES | CHATTY
"""Words of up to three letters among these are never abbreviations, whatever follows."""

NAMES_WITH_CALLS = frozenset({"yahoo", "jeopardy", "yum", "joomla", "oklahoma", "mamma"})
"""Names written with an exclamation mark."""


def prefixes(words: frozenset[str]) -> frozenset[str]:
    """Every beginning of every word."""
    return frozenset(word[:length] for word in words for length in range(1, len(word) + 1))


def kind_of(word: str) -> Kind | None:
    """Looks a word up, without its last full stop and with any inner ones (`p.m`)."""
    return KINDS.get(word) or KINDS.get(word.lower())


def is_chatty(sentence: str) -> bool:
    """Whether an emoji may well come after the sentence, so that it is worth a character's wait."""
    return not CHATTY.isdisjoint(sentence.lower().split())
