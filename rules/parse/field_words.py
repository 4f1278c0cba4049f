"""Words of other products and of query languages for what the language calls something else.

One table for every place where a name isn't known. A word may stand for several of our names; which of them
is meant follows from what is allowed where the word stands.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

_OURS: Final[Mapping[str, str]] = {
    # rules and where
    "all": "and && allof must conjunction every each rules conditions clauses criteria everything full whole",
    "none": "nothing never zero 0 noelement",
    "any": "or || anyof oneof should either some disjunction",
    "not": "! exclude except without isnot nand mustnot",
    "at_least": "atleast atleastn minimum nof",
    "audience": "segment cohort audiences incohort insegment segmentid cohortid audienceid list group",
    "event": "events eventname eventnames action activity track performed did trigger type name",
    "attribute": "attributes trait traits userproperty userproperties profile profileproperty person "
    "personproperty userattribute user_attribute field label property",
    "sequence": "steps funnel path inorder followedby then",
    "score": "scoring points weights",
    "where": "filter filters properties property props params match having with eventproperties "
    "conditions on",
    "of": "rules conditions parts in from any all",
    "when": "if condition rule event then",
    "points": "score weight value point",
    "audiences": "segments cohorts definitions lists audience segment cohort",
    "property": "properties field column key name prop attribute of on eventproperty",
    # heads of definitions
    "id": "key slug code identifier audienceid audience_id",
    "name": "title label displayname",
    "description": "desc comment notes note summary about doc",
    "project": "workspace tenant namespace app space site",
    "type": "kind mode",
    "timezone": "tz zone time_zone",
    "schedule": "cron refresh recompute frequency cadence every",
    "labels": "tags tag label categories category",
    "rule": "rules condition conditions definition query criteria filter filters expression where if when",
    "backfill": "history past lookback initial replay populate seed",
    "existing": "existingmembers members current announce notify",
    "history": "lookback past since from depth",
    "announce": "emit send notify loud yes true",
    "silent": "quiet mute suppress no false silence",
    # aggregates
    "count": "times occurrences frequency howoften number occurred total n",
    "distinct": "unique uniq uniques countdistinct cardinality nunique dcount",
    "sum": "total add amount",
    "avg": "average mean",
    "min": "minimum least lowest",
    "max": "maximum most highest greatest",
    "days": "activedays distinctdays daysactive uniquedays",
    "first": "earliest initial",
    "last": "latest mostrecent recent",
    "since_last": "lastseen recency timesince timesincelast dayssince dayssincelast",
    "since_first": "firstseen timesincefirst dayssincefirst age",
    # windows
    "within": "window inlast inthelast last timeframe timewindow period during duration interval lookback "
    "withinlast past lastdays since timerange range",
    "from": "since start after startdate begin starting gte",
    "to": "until end before till enddate ending lt upto",
    "period": "calendar date dates day days week month",
    "between_ago": "ago betweendays",
    "for": "duration wait delay timeout atleast within",
    "total": "within overall maxduration window",
    "as": "alias called name label id",
    "not_followed_by": "notfollowedby nofollowup notfollowed butnot without",
    # operators
    "eq": "equals equal = == === is equalto exact exactly value term matchesexactly values",
    "ne": "!= <> !== notequals notequal isnot doesnotequal neq noteq notequalto doesntequal not",
    "gt": "> greater greaterthan morethan above over isgreaterthan after isdateafter",
    "gte": ">= => greaterorequal greaterthanorequal greaterthanorequals greaterthanequals atleast "
    "min minimum ge onorafter from",
    "lt": "< less lessthan fewerthan below under islessthan before isdatebefore",
    "lte": "<= =< lessorequal lessthanorequal lessthanorequals lessthanequals atmost max maximum le "
    "onorbefore to",
    "between": "range inrange isbetween betweenand",
    "in": "oneof isoneof anyof isin isanyof terms inlist values",
    "not_in": "notin nin isnotin noneof isnoneof notoneof !in notinlist isnotoneof",
    "contains": "includes include has like substring containing contain hasitem",
    "not_contains": "notcontains doesnotcontain doesntcontain excludes notincludes notcontain exclude",
    "icontains": "ilike containsignorecase containscaseinsensitive",
    "ieq": "equalsignorecase iequals iexact equalscaseinsensitive",
    "starts_with": "startswith prefix beginswith begins hasprefix",
    "ends_with": "endswith suffix hassuffix",
    "matches": "regex regexp match =~ ~ rlike regexmatch matchesregex pattern similar",
    "any_of": "containsany hasany overlaps intersects anyof",
    "all_of": "containsall hasall superset allof",
    "older_than": "olderthan before morethanago",
    "newer_than": "newerthan after lessthanago inlast inthelast withinlast",
    "some": "elemmatch anyelement someelement",
    "every": "allelements everyelement",
    "in_next": "innext inthenext withinnext",
    "anniversary": "birthday yearly anniversaryof",
    "changed_within": "changed changedin updatedwithin changedinlast within",
}
_WRITTEN: Final[Mapping[str, tuple[str, str]]] = {
    "none": ("not", "write not: {any: […]}"),
    "noneof": ("not", "write not: {any: […]}"),
    "nor": ("not", "write not: {any: […]}"),
    "neither": ("not", "write not: {any: […]}"),
    "nand": ("not", "write not: {all: […]}"),
    "xor": ("not", "write any: [{all: [a, {not: b}]}, {all: [{not: a}, b]}]"),
    "isset": ("exists", "write exists: true"),
    "isknown": ("exists", "write exists: true"),
    "notnull": ("exists", "write exists: true"),
    "isnotnull": ("exists", "write exists: true"),
    "present": ("exists", "write exists: true"),
    "ispresent": ("exists", "write exists: true"),
    "exist": ("exists", "write exists: true"),
    "isnotset": ("exists", "write exists: false"),
    "notset": ("exists", "write exists: false"),
    "unset": ("exists", "write exists: false"),
    "isunset": ("exists", "write exists: false"),
    "isnull": ("exists", "write exists: false"),
    "null": ("exists", "write exists: false"),
    "missing": ("exists", "write exists: false"),
    "absent": ("exists", "write exists: false"),
    "notexists": ("exists", "write exists: false"),
    "doesnotexist": ("exists", "write exists: false"),
    "istrue": ("eq", "write eq: true"),
    "isfalse": ("eq", "write eq: false"),
    "didnot": ("not", "write not: {event: …}"),
    "notperformed": ("not", "write not: {event: …}"),
    "hasnotdone": ("not", "write not: {event: …}"),
    "notevent": ("not", "write not: {event: …}"),
    "notbetween": ("not", "write not: {…: {between: […]}}"),
    "notmatches": ("not", "write not: {…: {matches: …}}"),
    "notregex": ("not", "write not: {…: {matches: …}}"),
    "notlike": ("not_contains", "write not_contains: …"),
    "value": ("eq", "write the value after the operator, such as eq: US"),
    "operator": ("eq", "the operator is the key itself, such as eq: US or gte: 50"),
    "op": ("eq", "the operator is the key itself, such as eq: US or gte: 50"),
    "comparator": ("eq", "the operator is the key itself, such as eq: US or gte: 50"),
    "length": ("exists", "the length of a list or text can't be tested"),
    "size": ("exists", "the length of a list or text can't be tested"),
}
"""Words for which one of our names isn't the whole answer: a name that must be allowed, and what to write."""

_BY_WORD: Final[dict[str, list[str]]] = {}
for _name, _words in _OURS.items():
    for _word in _words.split():
        _BY_WORD.setdefault(_word.replace("_", ""), []).append(_name)

_BETWEEN_WORDS = re.compile(r"[\s_.$-]+")


def plain_word(name: str) -> str:
    """``$greaterThan``, ``greater_than`` and ``Greater than`` are one word."""
    return _BETWEEN_WORDS.sub("", name).lower()


def our_name(name: str, allowed: Collection[str]) -> str | None:
    """What the language calls it, among the names that are allowed; None when the table doesn't know."""
    return next(_our_names(plain_word(name), allowed), None)


def how_to_write(name: str, allowed: Collection[str]) -> str:
    """The answer for a word that one of our names doesn't replace; empty when there is none."""
    needed, hint = _WRITTEN.get(plain_word(name), ("", ""))
    return hint if needed in allowed else ""


def _our_names(word: str, allowed: Collection[str]) -> Iterator[str]:
    for each in allowed:  # AND, at-least, startsWith
        if plain_word(each) == word:
            yield each
    for each in _BY_WORD.get(word, ()):
        if each in allowed:
            yield each
